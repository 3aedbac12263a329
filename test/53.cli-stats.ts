// Chapter 53: `node-vpp stats`: ls, get, watch and top, as real processes on a segment that is written here; top also on
// a terminal of 80 by 24.

import t, { type Test } from 'tap';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { noPython, recordedImage, socketFolder, vppLike } from './support/stats.js';

t.setTimeout(240_000);
const root = fileURLToPath(new URL('../../..', import.meta.url));
const main = join(root, 'dist/cli/main.js');
const folder = socketFolder(t);
const socket = join(folder, 's');
const { segment, interfaces } = vppLike({ interfaces: 40, threads: 2 });
segment.listen(socket);
t.teardown(() => segment.close());
const image = join(folder, 'image');
writeFileSync(image, recordedImage().subarray(0, 4 << 20));

/** Traffic on two interfaces while a command runs. */
const traffic = setInterval(() => {
  interfaces.combined.rx.thread(0).add(7, 100, 6400);
  interfaces.combined.tx.thread(1).add(3, 10, 640);
  interfaces.simple.drops.thread(0).add(7, 1);
}, 5);
t.teardown(() => clearInterval(traffic));

class Command {
  readonly child: ChildProcess;
  output = '';
  errors = '';
  #wake = (): void => undefined;
  readonly #ended: Promise<unknown[]>;

  constructor(t: Test, command: readonly string[]) {
    this.child = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#ended = once(this.child, 'close');
    t.teardown(() => this.child.kill('SIGKILL'));
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
      this.#wake();
    });
    this.child.stderr!.on('data', (chunk: Buffer) => (this.errors += chunk.toString()));
  }
  async ended(): Promise<number | null> {
    return (await this.#ended)[0] as number | null;
  }
  printed(test: (output: string) => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        if (test(this.output)) resolve();
      };
      this.#wake();
    });
  }
  type(keys: string): void {
    this.child.stdin!.write(keys);
  }
}

const stats = (t: Test, ...args: string[]) =>
  new Command(t, [process.execPath, main, 'stats', '--socket', socket, ...args]);
async function lines(t: Test, ...args: string[]): Promise<string[]> {
  const command = stats(t, ...args);
  t.equal(await command.ended(), 0, command.errors);
  return command.output.split('\n').slice(0, -1);
}

void t.test('ls: names and types', async (t) => {
  t.strictSame(await lines(t, 'ls', '/interfaces/bench7/rx$', '/sys/heartbeat'), [
    'scalar     /sys/heartbeat',
    'symlink    /interfaces/bench7/rx -> /if/rx[7]',
  ]);
  const [line] = await lines(t, 'ls', '--json', '/if/names');
  t.match(JSON.parse(line!), { name: '/if/names', type: 'names' });
});

void t.test('get: values', async (t) => {
  t.strictSame(await lines(t, 'get', '/interfaces/bench2/', '/err/', '/sys/boottime'), [
    '1700000000\t/sys/boottime',
    '4\t/interfaces/bench2/drops',
    '4001 packets, 256000 bytes\t/interfaces/bench2/rx',
    '40 packets, 2560 bytes\t/interfaces/bench2/tx',
    '7\t/err/ip4-input/bad ip4 checksum',
  ]);
  t.strictSame(await lines(t, 'get', '--per-thread', '/interfaces/bench2/rx$'), [
    '2000 packets, 128000 bytes\t/interfaces/bench2/rx\tthread 0',
    '2001 packets, 128000 bytes\t/interfaces/bench2/rx\tthread 1',
  ]);
  t.equal((await lines(t, 'get', '--zeros', '/interfaces/bench2/')).length, 17);
  const [line] = await lines(t, 'get', '--json', '/interfaces/bench2/rx$');
  t.match(JSON.parse(line!), {
    type: 'combinedColumn',
    packets: ['2000', '2001'],
    link: { name: '/if/rx', column: 2 },
  });
  const saved = new Command(t, [process.execPath, main, 'stats', '--file', image, 'get', '/interfaces/loop0/rx$']);
  t.equal(await saved.ended(), 0);
  t.equal(saved.output, '5000 packets, 320000 bytes\t/interfaces/loop0/rx\n');
});

void t.test('mistakes are one line', async (t) => {
  const wrong = async (args: string[], message: RegExp) => {
    const command = new Command(t, [process.execPath, main, 'stats', ...args]);
    t.equal(await command.ended(), 1);
    t.match(command.errors, message);
  };
  await wrong(
    ['--socket', join(folder, 'none'), 'ls'],
    /^node-vpp: getting the stats segment of .*none: connect ENOENT [^\n]*\n$/,
  );
  await wrong(['--file', join(folder, 'none'), 'ls'], /^node-vpp: reading .*none: ENOENT[^\n]*\n$/);
  await wrong(['--socket', socket, 'ls', '('], /^node-vpp: the pattern "\(" is no regular expression[^\n]*\n$/);
  await wrong(
    ['--socket', socket, 'top', '--sort', 'frob'],
    /^node-vpp: interfaces cannot be sorted by frob; there are: name, rx pkt\/s[^\n]*\n$/,
  );
});

void t.test('watch: rates, as text and as JSON', async (t) => {
  const text = await lines(t, 'watch', '/interfaces/', '--interval', '0.1', '--count', '2');
  t.equal(text.filter((line) => /^\d{4}-\d\d-\d\dT/.test(line)).length, 2);
  t.match(
    text.find((line) => line.endsWith('/interfaces/bench7/rx')),
    /^ *[\d.]+ k?pkt\/s +[\d.]+ [kM]bit\/s/,
  );
  t.notOk(
    text.some((line) => line.includes('bench9')),
    'what stands still is left out',
  );
  const json = (await lines(t, 'watch', '/interfaces/bench7/', '--json', '--interval', '0.1', '--count', '1')).map(
    (line) => JSON.parse(line) as { name: string },
  );
  t.match(
    json.find(({ name }) => name === '/interfaces/bench7/rx'),
    { type: 'combined', delta: { packets: /^\d+$/ }, rate: { packets: Number } },
  );
});

void t.test('top where no terminal is', async (t) => {
  const text = await lines(t, 'top', '--interval', '0.2', '--count', '1');
  t.match(text[1], /^interface +vrx pkt\/s +rx bit\/s +tx pkt\/s +tx bit\/s +drops\/s$/);
  t.match(text[2], /^bench7 +[\d.]+ k? +/);
  t.ok(text.every((line) => line.length <= 80));
  const json = await lines(
    t,
    'top',
    '--json',
    '--interval',
    '0.2',
    '--count',
    '2',
    '--sort',
    'tx pkt/s',
    '--filter',
    'bench',
  );
  t.equal(json.length, 2);
  const { rows } = JSON.parse(json[1]!) as { rows: { name: string; txPackets: number; rxPackets: number }[] };
  t.equal(rows[0]!.name, 'bench3');
  t.ok(rows[0]!.txPackets > 0 && rows.length === 2);
  const errors = await lines(t, 'top', '--view', 'errors', '--interval', '0.1', '--count', '1', '--zeros');
  t.match(errors.join('\n'), /^ip6-input bad ip4 checksum +- +-$/m);
});

/** What a terminal of 80 by 24 shows after all that was written to it. */
function shown(output: string, rows = 24): string[] {
  const screen = Array.from({ length: rows }, () => '');
  // Only what `top` uses: clear, go to a line, clear to the end, colours.
  for (const [, line, text] of output.matchAll(/\x1b\[(\d+);1H((?:\x1b\[\d*m|[^\x1b])*)\x1b\[K/g)) {
    screen[Number(line) - 1] = text!.replace(/\x1b\[\d*m/g, '');
  }
  return screen;
}

void t.test('top on a terminal of 80 by 24', { skip: noPython }, async (t) => {
  const pty = join(root, 'test/support/terminal.py');
  const top = new Command(t, [
    'python3',
    pty,
    '80',
    '24',
    process.execPath,
    main,
    'stats',
    '--socket',
    socket,
    'top',
    '--interval',
    '0.1',
  ]);
  const shows = (pattern: RegExp) => top.printed((output) => pattern.test(shown(output).join('\n')));
  await shows(/^bench7 +[\d.]+ k?/m);
  const screen = shown(top.output);
  t.match(screen[0], /^node-vpp stats top {2}\//);
  t.match(screen[1], /^interface/);
  t.ok(
    screen.every((line) => line.length <= 80),
    'nothing is wider than the terminal',
  );
  t.match(screen[23], /q end/);
  top.type('z');
  await shows(/^bench9 +- +-/m);
  await shows(/1-20 of 40/);
  top.type('\x1b[6~');
  await shows(/21-40 of 40/);
  top.type('SS');
  await shows(/vdrops\/s/);
  top.type('/bench3\r');
  await shows(/filter: bench3/);
  await shows(/^11 rows/m);
  top.type('\x1b');
  top.type('n');
  await shows(/^ip4-input +- /m);
  top.type('e');
  await shows(/^ip4-input bad ip4 checksum +- +7/m);
  top.type('p');
  await shows(/paused/);
  t.ok(shown(top.output).every((line) => line.length <= 80));
  top.type('q');
  t.equal(await top.ended(), 0);
  t.match(top.output, /\x1b\[\?25h\x1b\[\?1049l$/, 'the terminal is given back');
});
