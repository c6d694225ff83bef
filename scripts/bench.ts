/** The benchmark: how long a push takes until it is a proposal, beside a straight-line shell script. docs/benchmark.md says how to read it. */
import { type Environment, parseOptions } from './bench/options.ts';
import { type LandfallRound, measureLandfall, measureScript, type ScriptRound } from './bench/contestants.ts';
import { readServiceFiles, type ServiceFiles, service } from './bench/image.ts';
import { aimsOf, isMet, type Measured, reportText } from './bench/report.ts';
