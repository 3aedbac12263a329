// `node-vpp stats top`: on a terminal a full-screen table with keys; elsewhere, or with --json, one block per reading.

import { ArgumentRangeError } from '../../errors.js';
import { type Snapshot, type Stats, type StatsImage, systemOf } from '../../stats/index.js';
import { clock, printable } from '../format.js';
import { stopSignal } from '../stop.js';
import { type SourceFlags, jsonOf, withStats } from './open.js';
import { type Row, type View, arrange, columnOf, columns, patternsOf, rowsOf } from './rows.js';
import { FullScreen, frame, roomFor } from './screen.js';

export interface TopFlags extends SourceFlags {
  view: View;
  sort?: string;
  reverse?: boolean;
  filter?: string;
  zeros?: boolean;
  interval: number;
  count?: number;
  rows?: number;
}

/** What is shown and how; keys change it. */
export class TopState {
  view: View;
  sort: string;
  reverse: boolean;
  filter: string;
  zeros: boolean;
  paused = false;
  top = 0;
  /** The filter as it is being typed. */
  typing: string | undefined;
  ended = false;

  constructor(flags: Pick<TopFlags, 'view' | 'sort' | 'reverse' | 'filter' | 'zeros'>) {
    this.view = flags.view;
    const sort = flags.sort === undefined ? columns[flags.view][0]!.key : columnOf(flags.view, flags.sort);
    if (sort === undefined) {
      const names = ['name', ...columns[flags.view].map(({ heading }) => heading)];
      throw new ArgumentRangeError(
        `${flags.view} cannot be sorted by ${flags.sort ?? ''}; there are: ${names.join(', ')}`,
      );
    }
    this.sort = sort;
    this.reverse = flags.reverse === true;
    this.filter = flags.filter ?? '';
    this.zeros = flags.zeros === true;
  }

  /** One key, as a terminal sends it. `page` is how many rows are shown. */
  key(key: string, page: number): void {
    if (key === '\x03') {
      this.ended = true;
      return;
    }
    if (this.typing !== undefined) {
      if (key === '\r' || key === '\n') [this.filter, this.typing, this.top] = [this.typing, undefined, 0];
      else if (key === '\x1b') this.typing = undefined;
      else if (key === '\x7f' || key === '\b') this.typing = this.typing.slice(0, -1);
      else if (key >= ' ' && key.length === 1) this.typing += key;
      return;
    }
    const views: Readonly<Record<string, View>> = { i: 'interfaces', n: 'nodes', e: 'errors' };
    const view = views[key];
    if (view !== undefined) {
      this.view = view;
      this.sort = columns[view][0]!.key;
      this.top = 0;
    } else if (key === 's' || key === 'S') {
      const order = ['name', ...columns[this.view].map((column) => column.key)];
      const at = order.indexOf(this.sort) + (key === 's' ? 1 : order.length - 1);
      this.sort = order[at % order.length]!;
    } else if (key === 'r') this.reverse = !this.reverse;
    else if (key === 'z') this.zeros = !this.zeros;
    else if (key === 'p' || key === ' ') this.paused = !this.paused;
    else if (key === '/') this.typing = this.filter;
    else if (key === '\x1b') this.filter = '';
    else if (key === 'q') this.ended = true;
    else if (key === '\x1b[A' || key === 'k') this.top -= 1;
    else if (key === '\x1b[B' || key === 'j') this.top += 1;
    else if (key === '\x1b[5~') this.top -= page;
    else if (key === '\x1b[6~') this.top += page;
    else if (key === '\x1b[H' || key === 'g') this.top = 0;
    this.top = Math.max(0, this.top);
  }
}

/** The keys in a piece of input. */
export const keysIn = (text: string): string[] => text.match(/\x1b\[[0-9;]*[A-Za-z~]|[\s\S]/g) ?? [];

/** Shows the table. */
export async function top(flags: TopFlags): Promise<void> {
  const state = new TopState(flags);
  const signal = stopSignal();
  await withStats(flags, async (source) => {
    const terminal = process.stdout as Partial<NodeJS.WriteStream> & NodeJS.WriteStream;
    const full = flags.json !== true && terminal.isTTY && process.env['TERM'] !== 'dumb';
    try {
      if (full) await fullScreen(source, state, flags, signal);
      else await printed(source, state, flags, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  });
}

/** Snapshots of all views, so that a key changes the view without waiting. */
function snapshots(source: Stats | StatsImage, flags: TopFlags, signal: AbortSignal) {
  const patterns = [...new Set(Object.values(patternsOf).flat())];
  if ('subscribe' in source) return source.subscribe(patterns, { intervalMs: flags.interval * 1000, signal });
  return [source.snapshot(patterns)];
}

function titleOf(source: Stats | StatsImage, flags: TopFlags, snapshot: Snapshot): string {
  const { workers, bootTime } = systemOf(snapshot);
  // Of an image nobody knows when it was taken.
  const up =
    bootTime === undefined || bootTime === 0 || !('socket' in source)
      ? ''
      : `  up ${clock(snapshot.time / 1000 - bootTime)}`;
  const from = 'socket' in source ? source.socket : (flags.file ?? '');
  return `node-vpp stats top  ${printable(from)}${up}${workers === undefined ? '' : `  ${workers} workers`}`;
}

/** One block of lines, or one JSON object, per reading. */
async function printed(
  source: Stats | StatsImage,
  state: TopState,
  flags: TopFlags,
  signal: AbortSignal,
): Promise<void> {
  let before: Snapshot | undefined;
  let left = flags.count ?? Infinity;
  const live = 'subscribe' in source;
  for await (const snapshot of snapshots(source, flags, signal)) {
    const first = before === undefined || snapshot.restarted;
    const rows = arrange(rowsOf(state.view, snapshot, first ? undefined : before), state).slice(0, flags.rows);
    before = snapshot;
    // The first reading of a running VPP has no rates yet.
    if (first && live) continue;
    if (flags.json === true) {
      process.stdout.write(`${jsonOf({ time: new Date(snapshot.time).toISOString(), view: state.view, rows })}\n`);
    } else {
      const lines = frame(frameOf(state, rows, titleOf(source, flags, snapshot), ''), 80, rows.length + 4, false);
      process.stdout.write(
        `${lines
          .slice(0, 2 + rows.length)
          .map((line) => line.trimEnd())
          .join('\n')}\n`,
      );
    }
    if (--left <= 0) break;
  }
}

const frameOf = (state: TopState, rows: readonly Row[], title: string, note: string) => ({
  view: state.view,
  rows,
  top: state.top,
  sort: state.sort,
  reverse: state.reverse,
  filter: state.filter,
  typing: state.typing,
  title,
  note,
});

async function fullScreen(
  source: Stats | StatsImage,
  state: TopState,
  flags: TopFlags,
  signal: AbortSignal,
): Promise<void> {
  const ended = new AbortController();
  const stop = AbortSignal.any([signal, ended.signal]);
  const screen = new FullScreen(process.stdout);
  let now: Snapshot | undefined;
  let before: Snapshot | undefined;
  let note = '';
  let title = 'node-vpp stats top';
  const draw = () => {
    const rows = now === undefined ? [] : arrange(rowsOf(state.view, now, before), state).slice(0, flags.rows);
    state.top = Math.min(state.top, Math.max(0, rows.length - roomFor(screen.height)));
    screen.draw(frame(frameOf(state, rows, title, state.paused ? 'paused' : note), screen.width, screen.height));
  };
  const onKeys = (text: string) => {
    for (const key of keysIn(text)) state.key(key, roomFor(screen.height));
    if (state.ended) ended.abort();
    else draw();
  };
  const { stdin } = process;
  const raw = stdin.isTTY;
  if ('events' in source) {
    source.events.on('disconnected', () => {
      note = 'VPP is away; waiting for it';
      draw();
    });
    source.events.on('connected', () => (note = ''));
  }
  try {
    if (raw) {
      stdin.setRawMode(true);
      stdin.setEncoding('utf8').on('data', onKeys).resume();
    }
    process.stdout.on('resize', draw);
    let left = flags.count ?? Infinity;
    for await (const snapshot of snapshots(source, flags, stop)) {
      if (!state.paused) {
        before = snapshot.restarted ? undefined : now;
        now = snapshot;
        title = titleOf(source, flags, snapshot);
        draw();
      }
      if (before !== undefined && --left <= 0) break;
    }
    // An image does not change: only the keys do something.
    if (!('subscribe' in source) && flags.count === undefined) {
      await new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }));
    }
  } catch (error) {
    if (!ended.signal.aborted) throw error;
  } finally {
    process.stdout.off('resize', draw);
    if (raw) {
      stdin.off('data', onKeys).setRawMode(false);
      stdin.pause();
    }
    screen.close();
  }
}
