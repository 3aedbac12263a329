// `node-vpp dataplane`: the embedded dataplane alone, for clients of VPP's API in other processes.

import { type Command, Option } from 'commander';
import { bundledReleases, type BundledRelease } from '../api/index.js';
import { stopSignal } from './stop.js';

interface Flags {
  apiSocket: string;
  statsSocket?: string;
  runDir?: string;
  release: BundledRelease;
  json?: boolean;
}

/** Adds `dataplane` to the command. */
export function register(program: Command): void {
  program
    .command('dataplane')
    .description("a switch and router that speaks VPP's API on a socket, until Ctrl-C")
    .option('--api-socket <path>', 'where clients find it', '/run/vpp/api.sock')
    .option('--stats-socket <path>', 'where the stats segment is given out (default: none)')
    .option('--run-dir <folder>', 'folder of memif sockets given by name only (default: that of the API socket)')
    .addOption(new Option('--release <release>', 'whose API it speaks').choices([...bundledReleases]).default('26.06'))
    .option('--json', 'say what happens as JSON, one object per line')
    .action(run);
}

async function run({ apiSocket, statsSocket, runDir, release, json }: Flags): Promise<void> {
  const { startDataplane } = await import('../dataplane/index.js');
  const stop = stopSignal();
  const began = performance.now();
  const dataplane = await startDataplane({
    apiSocket,
    release,
    ...(statsSocket === undefined ? {} : { statsSocket }),
    ...(runDir === undefined ? {} : { runDir }),
  });
  const say = (event: string, fields: Record<string, unknown>, text: string) => {
    console.log(json === true ? JSON.stringify({ event, ...fields }) : text);
  };
  dataplane.on('problem', (error, interfaceName) => {
    say('problem', { interface: interfaceName, error: error.message }, `${interfaceName}: ${error.message}`);
  });
  const startMs = Math.round(performance.now() - began);
  const stats = statsSocket === undefined ? '' : `, stats on ${statsSocket}`;
  say(
    'serving',
    { apiSocket: dataplane.apiSocket, statsSocket: dataplane.statsSocket, startMs },
    `serving VPP ${release}'s API on ${dataplane.apiSocket}${stats} after ${startMs} ms; Ctrl-C ends it`,
  );
  await new Promise<void>((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener('abort', () => resolve(), { once: true });
  });
  await dataplane.close();
}
