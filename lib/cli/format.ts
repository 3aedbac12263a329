// How the command writes numbers, times and names that came from elsewhere.

/** Three significant digits and a unit: 1234567 → `1.23 M`. */
export function scaled(value: number): string {
  const units = ['', 'k', 'M', 'G', 'T'];
  let unit = 0;
  let rest = value;
  // 999.95 would be written as 1000.
  while (rest >= 999.5 && unit < units.length - 1) {
    rest /= 1000;
    unit++;
  }
  const digits = unit === 0 ? 0 : rest < 9.995 ? 2 : rest < 99.95 ? 1 : 0;
  return `${rest.toFixed(digits)} ${units[unit]!}`;
}

/** `1.23 Mpkt/s`. */
export const packetsPerSecond = (rate: number): string => `${scaled(rate)}pkt/s`;

/** `632 Mbit/s`. */
export const bitsPerSecond = (rate: number): string => `${scaled(rate)}bit/s`;

/** `1,234,567`. */
export const grouped = (value: number): string => Math.round(value).toLocaleString('en-US');

/** Microseconds with three significant digits: `8.21`, `82.1`, `821`; nothing known is a dash. */
export function micros(us: number): string {
  if (!Number.isFinite(us)) return '-';
  return us < 9.995 ? us.toFixed(2) : us < 99.95 ? us.toFixed(1) : grouped(us);
}

/** `0:05`, `1:00:00`. */
export function clock(totalSeconds: number): string {
  const s = Math.floor(totalSeconds);
  const two = (n: number): string => String(n).padStart(2, '0');
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes}:${two(s % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(s % 60)}`;
}

/** Text of a peer, safe for a terminal: control characters and everything beyond ASCII as escapes. */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
