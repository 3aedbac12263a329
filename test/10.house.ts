// Chapter 10: the house itself. Structure, packaging, loading; nothing about networks yet.

import t, { type Test } from 'tap';
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import type * as nativeModule from '../lib/native.js';
import { testDocExamples } from './support/doc-examples.js';

const root = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const load = async <T>(path: string): Promise<T> => (await import(pathToFileURL(path).href)) as T;
const { loadAddon } = await load<typeof nativeModule>(join(root, 'dist/native.js'));
const builder = await load<{
  findNodeDir: (execPath?: string, nodeVersion?: string) => string | undefined;
  cleanEnvironment: (environment: NodeJS.ProcessEnv) => NodeJS.ProcessEnv;
}>(join(root, 'native/build.mjs'));

/** Files below a folder of the checkout, as paths relative to its root, sorted. */
function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

/** An empty folder outside the checkout, so that nothing in it finds the checkout's node_modules. */
function emptyFolder(t: Test): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'node-vpp-test-')));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What each room of lib may import, from docs/architecture.md: itself, and the rooms named here. */
const rooms: Record<string, readonly string[]> = {
  cli: [
    'agent',
    'config',
    'scheduler',
    'vpp',
    'linux',
    'dataplane',
    'api',
    'stats',
    'memif',
    'net',
    'testing',
    'native',
    'errors',
  ],
  agent: ['config', 'scheduler', 'vpp', 'linux', 'dataplane', 'api', 'stats', 'memif', 'net', 'native', 'errors'],
  config: ['scheduler', 'vpp', 'linux', 'net', 'errors'],
  scheduler: ['net', 'errors'],
  vpp: ['api', 'stats', 'net', 'errors'],
  linux: ['net', 'errors'],
  dataplane: ['api', 'memif', 'stats', 'net', 'native', 'errors'],
  testing: ['memif', 'net', 'errors'],
  api: ['native', 'net', 'errors'],
  stats: ['native', 'errors'],
  memif: ['native', 'net', 'errors'],
  net: ['errors'],
  native: ['errors'],
  errors: [],
  index: ['errors'],
};

const lib = join(root, 'lib');
const sources = filesBelow('lib').filter((file) => file.endsWith('.ts'));
const roomOf = (file: string): string => relative(lib, file).split('/')[0]!.replace(/\.ts$/, '');

t.setTimeout(600_000);

void t.test('imports only point down the list of rooms', async (t) => {
  const upward: string[] = [];
  for (const file of sources.map((path) => join(root, path))) {
    const from = roomOf(file);
    const allowed = rooms[from];
    if (allowed === undefined) {
      upward.push(`${relative(root, file)}: the room ${from} is not in the list`);
      continue;
    }
    const text = readFileSync(file, 'utf8');
    for (const [, target] of text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)) {
      const to = roomOf(resolve(dirname(file), target!.replace(/\.js$/, '.ts')));
      if (to !== from && !allowed.includes(to)) upward.push(`${relative(root, file)} imports ${target!}`);
    }
  }
  t.strictSame(upward, []);
});

void t.test('docs/architecture.md says the same about the rooms, and which of them are planned', async (t) => {
  const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `lib\/([\w.]+)` \| (.*) \| (.*) \|$/gm)].map(([, path, subject, imports]) => ({
    path: path!,
    room: path!.replace(/\.ts$/, ''),
    planned: subject!.startsWith('*planned:*'),
    imports: imports!,
  }));
  t.strictSame(rows.map(({ room }) => room).sort(), Object.keys(rooms).sort());
  for (const [index, { path, room, planned, imports }] of rows.entries()) {
    const below = rows.slice(index + 1).map((row) => row.room);
    const [, but] = /^everything below(?: but (\w+))?$/.exec(imports) ?? [];
    const said = imports.startsWith('everything') ? below.filter((name) => name !== but) : imports.split(', ');
    const expected = [...new Set([...said, ...(room === 'errors' ? [] : ['errors'])])].filter(
      (name) => name !== 'nothing',
    );
    t.strictSame(expected.sort(), [...rooms[room]!].sort(), room);
    t.ok(
      rooms[room]!.every((name) => below.includes(name)),
      `${room} imports only from rows below it`,
    );
    t.equal(planned, !existsSync(join(lib, path)), `lib/${path} is called planned only while it is not there`);
  }
});

void t.test('both native builds compile the same sources, and all of those on the disk', async (t) => {
  const gypi = readFileSync(join(root, 'native/addon.gypi'), 'utf8');
  const cmake = readFileSync(join(root, 'CMakeLists.txt'), 'utf8');
  const listed = (text: string, list: RegExp, item: RegExp) =>
    [...(list.exec(text)?.[1] ?? '').matchAll(item)].map(([, path]) => path!);
  const gyp = listed(gypi, /'sources': \[([^\]]*)\]/, /'([^']+)'/g).map((path) => `native/${path}`);
  const core = listed(cmake, /set\(CORE_SOURCES([^)]*)\)/, /(\S+\.cc)/g);
  const addon = listed(cmake, /set\(ADDON_SOURCES([^)]*)\)/, /(\S+\.cc)/g);
  const disk = filesBelow('native').filter((file) => file.endsWith('.cc') && !file.startsWith('native/build/'));

  t.strictSame([...gyp].sort(), disk, 'native/addon.gypi');
  t.strictSame([...core, ...addon].sort(), disk, 'CMakeLists.txt');
  const [inAddon, outside] = [true, false].map((wanted) =>
    disk.filter((file) => file.startsWith('native/addon/') === wanted),
  );
  t.strictSame([...addon].sort(), inAddon, 'the addon is native/addon');
  t.strictSame([...core].sort(), outside, 'the core is the rest');
});

void t.test(
  'only native/addon knows Node: no other C++ file includes napi.h, node_api.h, uv.h or node.h',
  async (t) => {
    const files = filesBelow('native').filter((file) => /\.(cc|h)$/.test(file) && !file.startsWith('native/addon/'));
    const knowing = files.filter((file) =>
      /^\s*#\s*include\s*[<"](napi|node_api|js_native_api|uv|node|v8)[-.\w]*\.h[>"]/m.test(
        readFileSync(join(root, file), 'utf8'),
      ),
    );
    t.strictSame(knowing, []);
  },
);

void t.test('docs/troubleshooting.md has one entry for every error code in lib, and no other', async (t) => {
  const codes = new Set<string>();
  for (const file of sources) {
    for (const [, code] of readFileSync(join(root, file), 'utf8').matchAll(/'(ERR_[A-Z0-9_]+)'/g)) {
      // Codes of Node itself, which lib compares with.
      if (code !== 'ERR_MODULE_NOT_FOUND') codes.add(code!);
    }
  }
  // Codes made of a prefix and a reason: `ERR_MEMIF_${reason}`, where `MemifReason` is the union of all reasons.
  const errors = readFileSync(join(root, 'lib/errors.ts'), 'utf8');
  for (const [, prefix] of errors.matchAll(/`(ERR_[A-Z0-9]+_)\$\{reason\}`/g)) {
    const area = prefix!.split('_')[1]!;
    const type = `${area[0]!}${area.slice(1).toLowerCase()}Reason`;
    const union = new RegExp(`^export type ${type} =([^;]*);`, 'm').exec(errors)?.[1] ?? '';
    const reasons = [...union.matchAll(/'([A-Z0-9_]+)'/g)].map(([, reason]) => reason!);
    t.not(reasons.length, 0, `lib/errors.ts has the type ${type}`);
    for (const reason of reasons) codes.add(prefix! + reason);
  }
  const page = readFileSync(join(root, 'docs/troubleshooting.md'), 'utf8');
  const entries = [...page.matchAll(/^#+ `(ERR_[A-Z0-9_]+)`$/gm)].map(([, code]) => code!);
  t.strictSame([...entries].sort(), [...codes].sort());
});

void t.test('links between the pages of docs lead somewhere', async (t) => {
  const dead: string[] = [];
  for (const page of ['README.md', 'SECURITY.md', ...filesBelow('docs').filter((file) => file.endsWith('.md'))]) {
    const text = readFileSync(join(root, page), 'utf8');
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)) {
      if (!existsSync(join(root, dirname(page), target!))) dead.push(`${page}: ${target!}`);
    }
  }
  t.strictSame(dead, []);
});

void t.test('the examples on the front page run', async (t) => {
  await testDocExamples(t, ['README.md']);
});

void t.test('loading the addon', async (t) => {
  const name = `prebuilds/${process.platform}-${process.arch}/node-vpp.node`;
  const good = readFileSync(join(root, 'build/Release/node-vpp.node'));
  /** A package folder with these files. */
  const packageWith = (t: Test, files: Record<string, string | Buffer>, packageVersion = version): string => {
    const folder = emptyFolder(t);
    for (const [path, content] of Object.entries({
      'package.json': JSON.stringify({ version: packageVersion }),
      ...files,
    })) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), content);
    }
    return folder;
  };
  const about = `loading the native addon of node-vpp ${version} (Node ${process.versions.node}, ${process.platform}-${process.arch}): `;

  await t.test('a binary in prebuilds, or else one in build/Release', async (t) => {
    t.equal(loadAddon(packageWith(t, { [name]: good })).version, version);
    t.equal(loadAddon(packageWith(t, { 'build/Release/node-vpp.node': good })).version, version);
    t.equal(loadAddon(packageWith(t, { [name]: 'broken', 'build/Release/node-vpp.node': good })).version, version);
  });

  await t.test('none at all: what was tried, and the command of an installed package and of a checkout', async (t) => {
    const folder = packageWith(t, {});
    const seen = `${folder}/${name} is not there; ${folder}/build/Release/node-vpp.node is not there`;
    t.throws(() => loadAddon(folder), {
      name: 'NativeError',
      code: 'ERR_VPP_NATIVE_MISSING',
      message: `${about}${seen}. To compile it run: npx node-vpp build`,
    });
    writeFileSync(join(folder, 'binding.gyp'), '');
    t.throws(() => loadAddon(folder), { message: `${about}${seen}. To compile it run: npm run build` });
  });

  const edited = (edit: (bytes: Buffer) => unknown): Buffer => {
    const bytes = Buffer.from(good);
    edit(bytes);
    return bytes;
  };
  const unfit: readonly (readonly [title: string, binary: string | Buffer, seen: RegExp])[] = [
    ['an empty file', '', /node-vpp\.node is empty; /],
    ['garbage', 'x'.repeat(1000), /node-vpp\.node is not an ELF binary; /],
    ['half a header', good.subarray(0, 40), /node-vpp\.node is not an ELF binary; /],
    ['half a file', good.subarray(0, good.length / 2), /node-vpp\.node is cut off: \d+ of \d+ bytes; /],
    ['another architecture', edited((b) => b.writeUInt16LE(243, 18)), /is compiled for riscv64; this Node is /],
    ['an unknown architecture', edited((b) => b.writeUInt16LE(258, 18)), /is compiled for ELF machine 258; this/],
    ['32 bits', edited((b) => b.writeUInt8(1, 4)), /is not a 64-bit little-endian binary; this Node is /],
    [
      'a newer glibc',
      edited((b) => b.write('GLIBC_2.99', b.toString('latin1').search(/GLIBC_2\.\d\d\0/), 'latin1')),
      /cannot be loaded: .*version `GLIBC_2\.99' not found/,
    ],
  ];
  for (const [title, binary, seen] of unfit) {
    await t.test(`${title} is refused in words`, async (t) => {
      t.throws(() => loadAddon(packageWith(t, { [name]: binary })), {
        code: 'ERR_VPP_NATIVE_INCOMPATIBLE',
        message: seen,
      });
    });
  }

  await t.test('a binary of another version is refused', async (t) => {
    t.throws(() => loadAddon(packageWith(t, { [name]: good }, '99.0.0')), {
      code: 'ERR_VPP_NATIVE_INCOMPATIBLE',
      message: new RegExp(`node-vpp 99\\.0\\.0 .*node-vpp\\.node is of version ${version}; .*run: npx node-vpp build$`),
    });
  });

  await t.test('native() throws the same error at every call, and importing it loads nothing', async (t) => {
    const folder = packageWith(t, { 'package.json': JSON.stringify({ version, type: 'module' }) });
    for (const file of ['native.js', 'errors.js']) cpSync(join(root, 'dist', file), join(folder, 'dist', file));
    const { native } = await load<typeof nativeModule>(join(folder, 'dist/native.js'));
    const errors = [1, 2].map(() => {
      try {
        return native();
      } catch (error) {
        return error;
      }
    });
    t.match(errors[0], { code: 'ERR_VPP_NATIVE_MISSING' });
    t.equal(errors[0], errors[1]);
  });

  await t.test('every worker thread loads its own, again and again', async (t) => {
    const program = `import(${JSON.stringify(pathToFileURL(join(root, 'dist/native.js')).href)})
      .then((m) => require('node:worker_threads').parentPort.postMessage(m.native().version))`;
    for (let round = 0; round < 3; round += 1) {
      const versions = [0, 1].map(
        () =>
          new Promise((resolve, reject) => {
            const worker = new Worker(program, { eval: true });
            worker.once('message', resolve).once('error', reject);
          }),
      );
      t.strictSame(await Promise.all(versions), [version, version]);
    }
  });
});

void t.test('the headers of exactly this Node are found beside it, and npm settings are not seen', async (t) => {
  const prefix = realpathSync(
    t.testdir({
      bin: { node: '' },
      include: {
        node: {
          'node_version.h':
            '#define NODE_MAJOR_VERSION 1\n#define NODE_MINOR_VERSION 2\n#define NODE_PATCH_VERSION 3\n',
        },
      },
    }),
  );
  t.equal(builder.findNodeDir(join(prefix, 'bin/node'), 'v1.2.3'), prefix);
  t.equal(builder.findNodeDir(join(prefix, 'bin/node'), 'v1.2.4'), undefined);
  const seen = builder.cleanEnvironment({
    PATH: '/bin',
    npm_config_nodedir: '/x',
    NPM_CONFIG_DISTURL: 'y',
    npm_package_name: 'z',
  });
  t.strictSame(seen, { PATH: '/bin' });
});

/** Runs a program to its end. */
function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = process.env) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8', timeout: 240_000 });
  return { status, stdout, stderr };
}

void t.test('the command', async (t) => {
  const main = join(root, 'dist/cli/main.js');
  const nodeVpp = (...args: string[]) => run(process.execPath, [main, ...args], root);

  await t.test('says its version and its subcommands', async (t) => {
    t.strictSame(nodeVpp('--version'), { status: 0, stdout: `${version}\n`, stderr: '' });
    const help = nodeVpp('--help');
    t.equal(help.status, 0);
    t.match(help.stdout, /^ {2}build /m);
    t.match(nodeVpp('build', '--help').stdout, /^Usage: node-vpp build /);
  });

  await t.test('a wrong word is one line on stderr and exit code 1', async (t) => {
    t.strictSame(nodeVpp('frobnicate'), { status: 1, stdout: '', stderr: "node-vpp: unknown command 'frobnicate'\n" });
    t.strictSame(nodeVpp('build', '--frob'), { status: 1, stdout: '', stderr: "node-vpp: unknown option '--frob'\n" });
  });

  await t.test('an error with a code is one line, and with --debug has its stack and its cause', async (t) => {
    // A package without what compiling needs.
    const folder = emptyFolder(t);
    mkdirSync(join(folder, 'node_modules'));
    cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
    cpSync(join(root, 'package.json'), join(folder, 'package.json'));
    cpSync(join(root, 'native/build.mjs'), join(folder, 'native/build.mjs'));
    const cli = join(folder, 'dist/cli/main.js');
    t.strictSame(run(process.execPath, [cli, '--version'], folder), {
      status: 1,
      stdout: '',
      stderr:
        'node-vpp: the node-vpp command needs the package commander, which is not installed ' +
        '(it is an optional dependency); run: npm install commander\n',
    });
    symlinkSync(realpathSync(join(root, 'node_modules/commander')), join(folder, 'node_modules/commander'));
    const seen = `compiling the addon in ${folder}/: compiling the addon needs the package node-gyp; run: npm install node-gyp`;
    t.strictSame(run(process.execPath, [cli, 'build'], folder), {
      status: 1,
      stdout: '',
      stderr: `node-vpp: ${seen}\n`,
    });
    const { stderr } = run(process.execPath, [cli, '--debug', 'build'], folder);
    t.match(stderr, /^node-vpp: NativeError: compiling the addon in .*\n +at .*build\.[jt]s/);
    t.match(stderr, /\[cause\]: Error: compiling the addon needs the package node-gyp/);
  });

  await t.test('a reader that goes away ends it quietly; a full disk is said', async (t) => {
    const shell = (script: string) => run('sh', ['-c', script, process.execPath, main], root);
    t.strictSame(shell('{ sleep 0.2; "$0" "$1" --help; echo "ended with $?" >&2; } | true'), {
      status: 0,
      stdout: '',
      stderr: 'ended with 141\n',
    });
    const full = shell('"$0" "$1" --help > /dev/full');
    t.equal(full.status, 1);
    t.match(full.stderr, /^node-vpp: writing to standard output: ENOSPC: [^\n]*\n$/);
  });

  await t.test('Ctrl-C asks a long-running subcommand to stop, and a second one makes it', async (t) => {
    const program = `import { stopSignal } from ${JSON.stringify(pathToFileURL(join(root, 'dist/cli/stop.js')).href)};
      stopSignal().addEventListener('abort', () => console.log('stopping'));
      setInterval(() => {}, 1000);
      console.log('ready');`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      child.kill('SIGINT');
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    t.equal(said, 'ready\nstopping\n');
    t.equal(code, 130);
  });
});

void t.test('the modules of the binary API are bundled, and each is in a process once', (t) => {
  const importsOf = (file: string): string[] =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/(?:from |import ?\(?)["'](\.[^"']+)["']/g)].map(([, path]) =>
      relative(root, resolve(root, dirname(file), path!)),
    );
  const isApi = (file: string): boolean => /^dist\/api\/(?!generated\/)/.test(file);
  const files = filesBelow('dist').filter((file) => file.endsWith('.js'));
  const doors = new Set(files.filter((file) => !isApi(file)).flatMap((file) => importsOf(file).filter(isApi)));
  doors.add('dist/api/index.js').add('dist/api/schema/index.js');
  t.ok(doors.size > 2, 'other rooms come through doors of their own');
  const behind = new Set<string>();
  const visit = (file: string): void => {
    for (const path of importsOf(file)) {
      if (!isApi(path) || behind.has(path)) continue;
      behind.add(path);
      visit(path);
    }
  };
  for (const door of doors) visit(door);
  t.strictSame(
    [...behind].filter((file) => !file.startsWith('dist/api/bundle/')),
    [],
    'behind a door there is the bundle only',
  );
  t.ok(behind.size < 15, `${behind.size} files`);
  t.end();
});

void t.test('the published package', { timeout: 400_000 }, async (t) => {
  const work = emptyFolder(t);
  for (const folder of ['bin', 'home', 'app']) mkdirSync(join(work, folder));
  writeFileSync(join(work, 'app/package.json'), '{ "private": true }');
  const npmProgram = run('sh', ['-c', 'command -v npm'], root).stdout.trim();
  const npm = realpathSync(npmProgram);
  const packed = run(process.execPath, [npm, 'pack', '--json', '--pack-destination', work], root);
  if (packed.status !== 0) throw new Error(`npm pack: ${packed.stderr}`);
  const [tarball] = JSON.parse(packed.stdout) as [{ filename: string; files: { path: string }[] }];

  await t.test('npm pack contains the compiled library, the native sources, one binary and the pages', async (t) => {
    const compiled = sources.flatMap((file) => {
      const stem = file.replace(/^lib/, 'dist').replace(/\.ts$/, '');
      return [`${stem}.js`, `${stem}.js.map`, `${stem}.d.ts`];
    });
    const expected = [
      ...compiled,
      ...filesBelow('dist/api/bundle'),
      ...filesBelow('native').filter((file) => /^native\/(?!build\/|binding\.gyp$)/.test(file)),
      ...filesBelow('docs'),
      ...filesBelow('lib/api/schema/data'),
      `prebuilds/${process.platform}-${process.arch}/node-vpp.node`,
      ...['README.md', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md', 'package.json'],
    ];
    t.strictSame(tarball.files.map(({ path }) => path).sort(), expected.sort());
    t.ok(filesBelow('native').every((file) => /\.(cc|h|gypi|map|mjs)$|^native\/(build\/|binding\.gyp$)/.test(file)));
  });

  await t.test(
    'what package.json points to is in it: the command, and the entries of all rooms that are built',
    async (t) => {
      const { bin, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
        bin: Record<string, string>;
        exports: Record<string, string>;
      };
      const contents = tarball.files.map(({ path }) => path);
      for (const target of [...Object.values(bin), ...Object.values(exports)].map((path) =>
        path.replace(/^\.\//, ''),
      )) {
        const room = /^dist\/(\w+)\/index\.js$/.exec(target)?.[1];
        if (room === undefined || existsSync(join(lib, room))) t.ok(contents.includes(target), target);
        else t.ok(room in rooms, `${target} belongs to a room that is planned`);
      }
    },
  );

  // No compiler, no make, no Python, no network: only what npm itself runs.
  for (const program of ['sh', 'env'])
    symlinkSync(run('sh', ['-c', `command -v ${program}`], root).stdout.trim(), join(work, 'bin', program));
  symlinkSync(process.execPath, join(work, 'bin/node'));
  const hostile = {
    npm_config_nodedir: '/nonexistent',
    npm_config_disturl: 'http://127.0.0.1:9',
    npm_config_registry: 'http://127.0.0.1:9',
  };
  const bare = { PATH: join(work, 'bin'), HOME: join(work, 'home'), ...hostile };
  const app = join(work, 'app');
  const installed = join(app, 'node_modules/node-vpp');
  const useIt = [
    '--input-type=module',
    '-e',
    `import * as front from 'node-vpp';
     import { native } from './node_modules/node-vpp/dist/native.js';
     console.log(typeof front.NodeVppError, native().version);`,
  ];

  await t.test('installs in an empty folder without network or compiler, and loads there', async (t) => {
    const done = run(
      process.execPath,
      [npm, 'install', '--offline', '--omit=optional', join(work, tarball.filename)],
      app,
      bare,
    );
    t.equal(done.status, 0, done.stderr);
    t.strictSame(
      readdirSync(join(app, 'node_modules')).filter((name) => !name.startsWith('.')),
      ['node-vpp'],
    );
    t.strictSame(run(process.execPath, useIt, app, bare), { status: 0, stdout: `function ${version}\n`, stderr: '' });
    const { scripts } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as { scripts: object };
    t.strictSame(
      Object.keys(scripts).filter((name) => name.endsWith('install')),
      [],
      'no script runs at installation',
    );
  });

  await t.test('the bundle finds the schemas there, and a class is the same from every entry', (t) => {
    const program = `
      import { createCodec, loadBundled } from 'node-vpp/api';
      import { loadBundled as again } from 'node-vpp/api/schema';
      import { VppEncodeError } from 'node-vpp';
      const codec = loadBundled('24.10').codec('show_version');
      let refused;
      try { codec.encode({ nothing: 1 }, new Uint8Array(10), 0); } catch (error) { refused = error; }
      console.log(codec.crc, loadBundled === again, refused instanceof VppEncodeError, typeof createCodec);`;
    const done = run(process.execPath, ['--input-type=module', '-e', program], app, bare);
    t.equal(done.stdout, '0x51077d14 true true function\n', done.stderr);
    t.end();
  });

  await t.test('its source maps carry their sources', async (t) => {
    for (const { path } of tarball.files.filter((file) => file.path.endsWith('.js.map'))) {
      const map = JSON.parse(readFileSync(join(installed, path), 'utf8')) as {
        sources: unknown[];
        sourcesContent?: unknown[];
      };
      if (!map.sources.every((_, at) => typeof map.sourcesContent?.[at] === 'string')) t.fail(path);
    }
    t.pass(`${tarball.files.length} files looked at`);
  });

  await t.test(
    'compiles itself with `npx node-vpp build`, from the headers on the machine, whatever npm says',
    async (t) => {
      const tools = ['c++', 'make', 'python3'].filter(
        (tool) => run('sh', ['-c', `command -v ${tool}`], root).status !== 0,
      );
      const skip =
        tools.length > 0
          ? `${tools.join(' and ')} not installed`
          : builder.findNodeDir() === undefined && `no headers of Node ${process.version} on this machine`;
      if (skip !== false) {
        t.pass('compiling the installed package', { skip });
        return;
      }
      for (const name of ['commander', 'node-gyp', 'node-addon-api']) {
        symlinkSync(realpathSync(join(root, 'node_modules', name)), join(app, 'node_modules', name));
      }
      rmSync(join(installed, 'prebuilds'), { recursive: true });
      const env = { ...bare, PATH: `${join(work, 'bin')}:${process.env.PATH ?? ''}` };
      const before = run(process.execPath, useIt, app, env);
      t.match(before.stderr, /ERR_VPP_NATIVE_MISSING/);
      const done = run(process.execPath, [npm, 'exec', '--offline', '--', 'node-vpp', 'build'], app, env);
      t.equal(done.status, 0, done.stderr);
      t.match(
        done.stdout,
        `built ${installed}/prebuilds/${process.platform}-${process.arch}/node-vpp.node; version ${version} loads`,
      );
      t.equal(run(process.execPath, useIt, app, bare).stdout, `function ${version}\n`);
      t.notOk(existsSync(join(installed, 'native/build')), 'nothing but the binary is left behind');
      return undefined;
    },
  );
});
