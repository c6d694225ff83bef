import { getInput, info, setFailed, setOutput, setSecret } from '@actions/core';
import { readInputs } from './inputs.ts';
import { eventOf, send } from './send.ts';

try {
  // Before anything else can print it.
  const token = getInput('target_repo_pat');
  if (token !== '') setSecret(token);
  const inputs = readInputs(process.env);
  await send(inputs, eventOf(inputs, process.env, new Date()));
  const result = `Dispatched successfully to ${inputs.targetRepo} with event ${inputs.event}`;
  setOutput('result', result);
  info(result);
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error);
  setOutput('result', `Dispatch failed to ${getInput('target_repo') || 'target_repo'}: ${reason}`);
  setFailed(reason);
}
