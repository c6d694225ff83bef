/**
 * `node scripts/bundle-programs.mjs`: bundles the service and the command of `dist` into `dist/service` and `dist/command`. Node found, read
 * and linked module by module: 1,900 for the service, a third of the processor time of its start, and 620 for `landfall list`, half of it. Our
 * own modules are all in a bundle, so that each is there once; of the packages those that can be. What is imported at run time stays apart,
 * and is not loaded before it is needed.
 */
import { readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

/** The others are loaded from node_modules: Temporal's worker is native, and what works in its threads and processes has files of its own. */
const inCommand = [
  '@temporalio/client',
  '@temporalio/common',
  '@temporalio/workflow',
  'commander',
  'packageurl-js',
  'protobufjs',
  're2js',
  'rrule-temporal',
  'semver',
  'temporal-polyfill',
  'undici',
  'yaml',
  'zod',
];

/** Temporal's worker brings the rest of Temporal with it, which must not be there twice; pino writes in a thread of its own. */
const apartFromService = /^(@temporalio\/.*|pino|protobufjs)$/;

/** Packages that are no modules of ECMAScript call it. */
const requireForCommonJs = `import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);`;

/**
 * @typedef {object} Sources
 * @property {string} root the checkout, for its packages
 * @property {string} entry command.ts or worker.ts, or what became of it
 * @property {string} folder where the bundle belongs, on no other level than where it will lie
 */

/**
 * @param {Sources} sources
 * @returns {Promise<string[]>} our own files that are in it
 */
export async function bundleCommand(sources) {
  return await bundle('command', sources, (name) => inCommand.includes(name), [leavesOutMessages, refusesNameless]);
}

/**
 * @param {Sources} sources
 * @returns {Promise<string[]>} our own files that are in it
 */
export async function bundleService(sources) {
  return await bundle('service', sources, (name) => !apartFromService.test(name), [leavesOutOfDocker]);
}

/**
 * @param {string} name of the program
 * @param {Sources} sources
 * @param {(name: string) => boolean} isInlined of a package
 * @param {readonly import('esbuild').Plugin[]} plugins
 */
async function bundle(name, { root, entry, folder }, isInlined, plugins) {
  const { dependencies, engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { [name]: entry },
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: `node${engines.node.slice('>='.length)}`,
    // Names stay: of errors, and in stacks.
    minifyWhitespace: true,
    minifySyntax: true,
    // For stacks with places in our sources: the command's are shown to nobody.
    sourcemap: name === 'service',
    sourcesContent: false,
    // Node would have to read a whole file to see what it is.
    outExtension: { '.js': '.mjs' },
    external: Object.keys(dependencies).filter((each) => !isInlined(each)),
    banner: { js: requireForCommonJs },
    plugins: [keepsPlaces(dirname(entry), folder), leavesOutLanguages, ...plugins],
    metafile: true,
    legalComments: 'none',
    logLevel: 'error',
  });
  return Object.keys(metafile.inputs)
    .filter((input) => !input.includes('node_modules/'))
    .map((input) => join(root, input));
}

/**
 * Modules find threads, programs and package.json from where they are themselves: that stays where they were before they were bundled.
 * @param {string} sources the folder of the entry
 * @param {string} folder of the bundle, in which no file lies deeper
 * @returns {import('esbuild').Plugin}
 */
function keepsPlaces(sources, folder) {
  return {
    name: 'keeps places',
    setup({ onLoad }) {
      onLoad({ filter: /\.[mc]?[jt]s$/ }, ({ path }) => {
        if (!path.startsWith(join(sources, 'src'))) return undefined;
        const text = readFileSync(path, 'utf8');
        if (!text.includes('import.meta.url')) return undefined;
        const place = `new URL(${JSON.stringify(relative(folder, path))}, import.meta.url).href`;
        return { contents: text.replaceAll('import.meta.url', `(${place})`), loader: path.endsWith('.ts') ? 'ts' : 'js' };
      });
    },
  };
}

/**
 * Temporal's library makes classes of all messages that there are when it is loaded, which is a third of what the command takes. Those of its
 * cloud's own API and between its workers and their native part are sent by no client.
 * @type {import('esbuild').Plugin}
 */
const leavesOutMessages = {
  name: 'leaves out messages',
  setup({ onLoad }) {
    onLoad({ filter: /@temporalio.proto.protos.json-module\.js$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      const begin = text.indexOf('.addJSON(') + '.addJSON('.length;
      const end = text.indexOf('\n});', begin) + '\n}'.length;
      const messages = JSON.parse(text.slice(begin, end));
      delete messages.coresdk;
      delete messages.temporal.nested.api.nested.cloud;
      return { contents: `${text.slice(0, begin)}${JSON.stringify(messages)}${text.slice(end)}`, loader: 'js' };
    });
  },
};

/**
 * Half of zod are its messages in some fifty languages. Ours are English, and our own.
 * @type {import('esbuild').Plugin}
 */
const leavesOutLanguages = {
  name: 'leaves out languages',
  setup({ onLoad }) {
    onLoad({ filter: /zod.v4.locales.index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js';",
      loader: 'js',
    }));
  },
};

/**
 * Of what is no module of ECMAScript nothing but a default would be there.
 * @type {import('esbuild').Plugin}
 */
const refusesNameless = {
  name: 'refuses nameless',
  setup({ onResolve }) {
    onResolve({ filter: /^@temporalio\// }, ({ path, kind }) => {
      if (kind !== 'dynamic-import' || !inCommand.includes(path)) return undefined;
      return {
        errors: [{ text: `expected a module of ours that has what is needed of '${path}': see platform/temporal/connection.ts` }],
      };
    });
  },
};

/**
 * Docker's client loads gRPC and another copy of protobufjs for builds that ask for files in a session, and a client of SSH, whose patterns of
 * keys scanners of images take for a key. We ask for no session, and refuse a Docker that is to be reached by SSH (platform/docker/connect.ts).
 * @type {import('esbuild').Plugin}
 */
const leavesOutOfDocker = {
  name: 'leaves out of Docker',
  setup({ onLoad }) {
    onLoad({ filter: /[/](dockerode[/]lib[/]session|docker-modem[/]lib[/]ssh)\.js$/ }, ({ path }) => ({
      contents: `module.exports = () => { throw new Error('${basename(path)} is left out, see scripts/bundle-programs.mjs'); };`,
      loader: 'js',
    }));
  },
};

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const dist = join(root, 'dist');
  const command = await bundleCommand({ root, entry: join(dist, 'command.js'), folder: join(dist, 'command') });
  console.log(`Command: ${command.length} modules bundled, in dist/command.`);
  const service = await bundleService({ root, entry: join(dist, 'worker.js'), folder: join(dist, 'service') });
  console.log(`Service: ${service.length} modules bundled, in dist/service.`);
}
