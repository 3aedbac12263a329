// `node-vpp api`: talks to a running VPP.
//
//   call MESSAGE [JSON]   one request, the reply as JSON         cli WORDS…    a command of VPP's own CLI
//   dump MESSAGE [JSON]   one row per line                       watch EVENT   one event per line, over restarts
//   trace record|show|replay FILE                                repl          all of it, with completion

import { Option, type Command } from 'commander';
import { writeFileSync } from 'node:fs';
import type { Connection } from '../api/connection.js';
import type { ConnectOptions } from '../api/options.js';
import type { Schema } from '../api/schema/schema.js';
import type { DecodedExchange, TraceExchange } from '../api/trace.js';
import { ArgumentTypeError } from '../errors.js';

interface GlobalOptions {
  socket: string;
  schema: string;
  timeout: string;
  transport: 'socket' | 'shm' | 'auto';
  apiSegmentPrefix?: string;
  library?: string;
}

/** JSON of a message: 64-bit integers as decimal text, bytes as 0x and hex. */
export function jsonOf(value: unknown, space?: number): string {
  return JSON.stringify(
    value,
    (_, inner: unknown) => {
      if (typeof inner === 'bigint') return inner.toString();
      return inner instanceof Uint8Array ? `0x${Buffer.from(inner).toString('hex')}` : inner;
    },
    space,
  );
}

/** Fields given on the command line. */
export function fieldsOf(text: string | undefined): Record<string, unknown> {
  if (text === undefined || text.trim() === '') return {};
  let fields: unknown;
  try {
    fields = JSON.parse(text);
  } catch (cause) {
    throw new ArgumentTypeError(`the fields are no JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw new ArgumentTypeError('the fields have to be a JSON object, e.g. \'{"sw_if_index": 1}\'');
  }
  return fields as Record<string, unknown>;
}

function optionsOf(command: Command): ConnectOptions {
  const { socket, schema, timeout, transport, apiSegmentPrefix, library } = command.optsWithGlobals<GlobalOptions>();
  const timeoutMs = Number(timeout) * 1000;
  return {
    socket,
    schema,
    name: 'node-vpp-cli',
    timeoutMs,
    requestTimeoutMs: timeoutMs,
    transport,
    ...(apiSegmentPrefix === undefined ? {} : { apiSegmentPrefix }),
    ...(library === undefined ? {} : { libraryPath: library }),
  };
}

/** Connects, does something, and leaves VPP in good order whatever happens. */
async function withVpp(command: Command, work: (vpp: Connection) => Promise<void>): Promise<void> {
  const { connect } = await import('../api/connection.js');
  const vpp = await connect(optionsOf(command));
  try {
    await work(vpp);
  } finally {
    await vpp.destroy();
  }
}

/** Ends at Ctrl-C or SIGTERM. */
function interrupted(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort());
  return controller.signal;
}

async function call(message: string, json: string | undefined, _options: object, command: Command): Promise<void> {
  await withVpp(command, async (vpp) => {
    console.log(jsonOf(await vpp.request(message, fieldsOf(json)), 2));
  });
}

async function dump(message: string, json: string | undefined, _options: object, command: Command): Promise<void> {
  await withVpp(command, async (vpp) => {
    for await (const row of vpp.dump(message, fieldsOf(json))) console.log(jsonOf(row));
  });
}

async function watch(event: string, options: { count?: string; want?: string }, command: Command): Promise<void> {
  await withVpp(command, async (vpp) => {
    const say = (what: string) => console.error(`node-vpp: ${what}`);
    vpp.on('disconnected', (reason) => say(reason.message));
    vpp.on('reconnected', ({ newInstance, pid }) =>
      say(newInstance ? `VPP was restarted (pid ${pid})` : 'connected again'),
    );
    const want = options.want === undefined ? {} : { want: options.want };
    const stream = vpp.on(event, { signal: interrupted(), ...want });
    await stream.ready;
    let left = options.count === undefined ? Infinity : Number(options.count);
    for await (const fields of stream) {
      console.log(jsonOf(fields));
      if (--left <= 0) break;
    }
  });
}

async function cli(words: string[], _options: object, command: Command): Promise<void> {
  await withVpp(command, async (vpp) => {
    const { reply } = await vpp.request('cli_inband', { cmd: words.join(' ') });
    process.stdout.write(reply);
  });
}

function describe({ name, at, durationMs, fields, received }: DecodedExchange): string {
  const when = new Date(at).toISOString();
  const took = durationMs === undefined ? '' : ` ${durationMs.toFixed(2)} ms`;
  const answers = received.map((message) => `\n    ${message.name} ${jsonOf(message.fields)}`);
  return `${when}${took} ${name} ${jsonOf(fields)}${answers.join('')}`;
}

async function readTraceFile(file: string): Promise<{ exchanges: TraceExchange[]; schemas: Schema[] }> {
  const [{ bundledReleases, loadBundled }, { readTrace }] = await Promise.all([
    import('../api/schema/bundled.js'),
    import('../api/trace.js'),
  ]);
  const schemas = [...bundledReleases].reverse().map(loadBundled);
  return { exchanges: readTrace(file, schemas), schemas };
}

async function traceRecord(file: string, calls: string[], _options: object, command: Command): Promise<void> {
  await withVpp(command, async (vpp) => {
    const trace = vpp.trace({ capacity: 1_000_000 });
    for (const text of calls) {
      const [, message = '', json] = /^(\S+)\s*(.*)$/s.exec(text.trim()) ?? [];
      await perform(vpp, message, json).catch((error: unknown) =>
        console.error(`node-vpp: ${(error as Error).message}`),
      );
    }
    trace.save(file);
    console.log(`${trace.total} exchanges in ${file}`);
  });
}

async function traceShow(file: string): Promise<void> {
  const { exchanges, schemas } = await readTraceFile(file);
  const { decodeExchange } = await import('../api/trace.js');
  for (const exchange of exchanges) console.log(describe(decodeExchange(exchange, schemas)));
}

async function traceReplay(file: string, _options: object, command: Command): Promise<void> {
  const { exchanges, schemas } = await readTraceFile(file);
  const { replay } = await import('../api/trace.js');
  await withVpp(command, async (vpp) => {
    const target = {
      request: (name: string, fields: object) => vpp.request(name, fields as Record<string, unknown>),
      dump: (name: string, fields: object) => vpp.dump(name, fields as Record<string, unknown>),
    };
    for await (const { name, fields, before, now, error, same } of replay(target, exchanges, schemas)) {
      console.log(`${same ? 'same' : 'differs'} ${name} ${jsonOf(fields)}`);
      if (same) continue;
      process.exitCode = 1;
      console.log(
        `    before ${jsonOf(before)}\n    now    ${error === undefined ? jsonOf(now) : (error as Error).message}`,
      );
    }
  });
}

/** One line of the repl: a request or a dump by its name. */
async function perform(vpp: Connection, message: string, json: string | undefined): Promise<unknown> {
  const fields = fieldsOf(json);
  const stream = vpp.schema.service(message)?.stream;
  return stream === true ? vpp.dump(message, fields).toArray() : vpp.request(message, fields);
}

const words = ['call', 'dump', 'cli', 'watch', 'show', 'messages', 'help', 'exit'];

/** Names that a line could go on with, and what of the line they replace. */
export function complete(names: readonly string[], line: string): [string[], string] {
  const [, before = '', start = ''] = /^(.*?)(\S*)$/.exec(line) ?? [];
  const first = before.trim() === '';
  const candidates = first ? [...words, ...names] : /^(call|dump|show|watch)$/.test(before.trim()) ? names : [];
  return [candidates.filter((name) => name.startsWith(start)), start];
}

async function repl(_options: object, command: Command): Promise<void> {
  const { createInterface } = await import('node:readline');
  await withVpp(command, async (vpp) => {
    const { schema } = vpp;
    const names = [...vpp.messages().keys()].sort();
    const requests = names.filter((name) => schema.service(name) !== undefined || schema.message(name) === undefined);
    const terminal = process.stdin.isTTY;
    const lines = createInterface({
      input: process.stdin,
      ...(terminal ? { output: process.stdout } : {}),
      prompt: 'vpp# ',
      terminal,
      completer: (line: string) => complete(requests, line),
    });
    const watching = new Map<string, () => unknown>();
    const act = async (line: string): Promise<boolean> => {
      const [, word = '', rest = ''] = /^\s*(\S+)\s*(.*)$/s.exec(line) ?? [];
      if (word === '') return true;
      if (word === 'exit' || word === 'quit') return false;
      if (word === 'help') {
        console.log('MESSAGE [JSON] · cli WORDS · watch EVENT · show MESSAGE · messages [START] · exit; Tab completes');
      } else if (word === '.complete') console.log(complete(requests, rest)[0].join('\n'));
      else if (word === 'messages') console.log(names.filter((name) => name.startsWith(rest)).join('\n'));
      else if (word === 'cli') process.stdout.write((await vpp.request('cli_inband', { cmd: rest })).reply);
      else if (word === 'show') {
        const def = schema.message(rest);
        if (def === undefined) throw new ArgumentTypeError(`no message is called ${rest}`);
        for (const { type, name, length, default: value } of def.fields) {
          console.log(
            `  ${type}${length === undefined ? '' : `[${length}]`} ${name}${value === undefined ? '' : ` = ${value}`}`,
          );
        }
      } else if (word === 'watch') {
        const stream = vpp.on(rest);
        await stream.ready;
        watching.set(rest, () => stream.return());
        void (async () => {
          for await (const event of stream) console.log(`${rest} ${jsonOf(event)}`);
        })().catch((error: unknown) => console.error((error as Error).message));
      } else {
        const [, message = word, json = rest] = /^(call|dump)$/.test(word) ? (/^(\S+)\s*(.*)$/s.exec(rest) ?? []) : [];
        console.log(jsonOf(await perform(vpp, message, json), 2));
      }
      return true;
    };
    if (terminal) console.log(`${vpp.description}, ${names.length} messages; help, Tab, exit`);
    // The input may have ended while there are lines of it to act on.
    let open = true;
    lines.once('close', () => (open = false));
    const prompt = () => {
      if (open) lines.prompt();
    };
    prompt();
    for await (const line of lines) {
      try {
        if (!(await act(line))) break;
      } catch (error) {
        console.log((error as Error).message);
      }
      prompt();
    }
    lines.close();
    for (const stop of watching.values()) stop();
  });
}

async function schemaOfVpp(options: { output?: string }, command: Command): Promise<void> {
  await withVpp(command, async (vpp) => {
    const { json } = await vpp.request('get_api_json');
    const text = json.replace(/\0+$/, '');
    if (options.output === undefined) process.stdout.write(`${text}\n`);
    else writeFileSync(options.output, text);
  });
}

/** Adds `node-vpp api`. */
export function register(program: Command): void {
  const api = program
    .command('api')
    .description('talk to a running VPP over its binary API')
    .option('-s, --socket <path>', 'socket of VPP', '/run/vpp/api.sock')
    .addOption(
      new Option('--transport <carrier>', 'what carries requests').choices(['socket', 'shm', 'auto']).default('socket'),
    )
    .option('--api-segment-prefix <prefix>', "for shm: the prefix in VPP's api-segment section")
    .option('--library <path>', 'for shm: libvppapiclient.so, where it is not in VPP_LIB_DIR or the loader path')
    .option('--schema <release|path>', 'where messages are defined', 'auto')
    .option('--timeout <seconds>', 'for the connection and for each request', '5');
  api.command('call <message> [json]').description('send a request, print its reply').action(call);
  api.command('dump <message> [json]').description('print rows, one per line').action(dump);
  api
    .command('watch <event>')
    .description('print events as they come, also after a restart of VPP')
    .option('--count <n>', 'stop after so many')
    .option('--want <message>', 'the request that switches them on')
    .action(watch);
  api.command('cli <words...>').description("run a command of VPP's own CLI").passThroughOptions(false).action(cli);
  const trace = api.command('trace').description('record, show and replay exchanges');
  trace
    .command('record <file> <calls...>')
    .description("do calls ('MESSAGE JSON') and record them")
    .action(traceRecord);
  trace.command('show <file>').description('print a recording').action(traceShow);
  trace.command('replay <file>').description('send the requests again and compare the answers').action(traceReplay);
  api.command('repl').description('requests at a prompt, with completion').action(repl);
  api
    .command('schema')
    .description("print the VPP's own schema (get_api_json)")
    .option('-o, --output <file>')
    .action(schemaOfVpp);
}
