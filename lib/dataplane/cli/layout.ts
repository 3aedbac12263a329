// Columns as VPP's `format` makes them: `%-32s` to the left, `%16s` to the right, `%=10s` in the middle. What is too long
// stays whole.

/** `%-<width>s` */
export function left(text: string | number, width: number): string {
  return String(text).padEnd(width);
}

/** `%<width>s` */
export function right(text: string | number, width: number): string {
  return String(text).padStart(width);
}

/** `%=<width>s`: half of the space in front, the larger half, and half behind. */
export function centre(text: string | number, width: number): string {
  const whole = String(text);
  const space = Math.max(0, width - whole.length);
  return ' '.repeat(space - (space >> 1)) + whole + ' '.repeat(space >> 1);
}

/** Each line ends in a newline, as `vlib_cli_output` sees to it. */
export function lines(all: Iterable<string>): string {
  let text = '';
  for (const line of all) text += line.endsWith('\n') ? line : `${line}\n`;
  return text;
}
