// The full-screen table of `top`: a frame is a list of lines that fit the terminal, drawn over the last one without
// clearing (no flicker), on the terminal's second page, which leaves the first as it was.

import { printable, scaled } from '../format.js';
import { type Column, type Row, type View, columns } from './rows.js';

/** What a frame is made of. */
export interface Frame {
  readonly view: View;
  readonly rows: readonly Row[];
  /** First row that is shown. */
  readonly top: number;
  readonly sort: string;
  readonly reverse: boolean;
  readonly filter: string;
  /** The filter as it is being typed; undefined when it is not. */
  readonly typing: string | undefined;
  readonly title: string;
  readonly note: string;
}

const keys = 'i n e view  s S sort  r reverse  / filter  z zeros  p pause  q end';

/** Rows of the table that fit a terminal of so many lines. */
export const roomFor = (lines: number): number => Math.max(1, lines - 4);

/** The lines of a frame: exactly `height` of them, none wider than `width`. */
export function frame({ rows, ...state }: Frame, width: number, height: number, colors = true): string[] {
  const paint = (code: number, text: string) => (colors ? `\x1b[${code}m${text}\x1b[0m` : text);
  const list = columns[state.view];
  const cellWidth = 10;
  const nameWidth = Math.max(8, width - list.length * (cellWidth + 1));
  const fit = (text: string, size: number) => (text.length > size ? `${text.slice(0, size - 1)}~` : text.padEnd(size));
  const heading = (key: string, text: string) => (key === state.sort ? `${state.reverse ? '^' : 'v'}${text}` : text);
  const head =
    fit(heading('name', state.view === 'errors' ? 'node and reason' : state.view.replace(/s$/, '')), nameWidth) +
    list.map(({ key, heading: text }) => ` ${heading(key, text).padStart(cellWidth)}`).join('');
  const room = roomFor(height);
  const shown = rows.slice(state.top, state.top + room);
  const body = shown.map(
    (row) =>
      fit(printable(row.name), nameWidth) + list.map((column) => ` ${cell(row, column).padStart(cellWidth)}`).join(''),
  );
  if (body.length === 0)
    body.push(
      state.filter === '' ? 'nothing to show; z shows rows where nothing happens' : 'no name contains the filter',
    );
  while (body.length < room) body.push('');
  const place =
    rows.length > room ? `${state.top + 1}-${state.top + shown.length} of ${rows.length}` : `${rows.length} rows`;
  const filter = state.typing === undefined ? (state.filter === '' ? '' : `  filter: ${printable(state.filter)}`) : '';
  const foot = state.typing === undefined ? `${place}${filter}  ${state.note}` : `filter: ${printable(state.typing)}_`;
  return [
    paint(1, fit(state.title, width)),
    paint(7, fit(head, width)),
    ...body.map((line) => fit(line, width).trimEnd()),
    fit(foot, width).trimEnd(),
    paint(2, fit(keys, width).trimEnd()),
  ].slice(0, height);
}

function cell(row: Row, { key, form }: Column): string {
  const value = row[key];
  if (typeof value !== 'number') return '';
  if (value === 0) return '-';
  return form === 'decimal' ? value.toFixed(2) : value < 1 ? value.toFixed(2) : scaled(value).trimEnd();
}

/** A terminal, as far as it is needed here. */
export interface Terminal {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

/** Draws frames on a terminal. */
export class FullScreen {
  readonly #terminal: Terminal;
  #last: string[] = [];
  #size = '';

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    terminal.write('\x1b[?1049h\x1b[?25l\x1b[2J');
  }

  get width(): number {
    return this.#terminal.columns ?? 80;
  }
  get height(): number {
    return this.#terminal.rows ?? 24;
  }

  draw(lines: readonly string[]): void {
    const size = `${this.width}x${this.height}`;
    const all = size !== this.#size;
    this.#size = size;
    let text = all ? '\x1b[2J' : '';
    lines.forEach((line, i) => {
      if (all || line !== this.#last[i]) text += `\x1b[${i + 1};1H${line}\x1b[K`;
    });
    this.#last = [...lines];
    if (text !== '') this.#terminal.write(text);
  }

  /** Gives the terminal back as it was. */
  close(): void {
    this.#terminal.write('\x1b[?25h\x1b[?1049l');
  }
}
