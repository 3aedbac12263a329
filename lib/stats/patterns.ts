// Which entries are meant: a string is a regular expression that is matched from the beginning of the name, as in VPP's
// own clients (`/if/` all of /if, `/if/rx$` only that one, `/interfaces/.*/drops`); a RegExp is used as it is.

import { ArgumentTypeError, StatsError } from '../errors.js';

/** Part of the name of an entry. */
export type Pattern = string | RegExp;

/** Patterns as they may be given. */
export type Patterns = Pattern | readonly Pattern[];

/** As a list. */
export function patternList(patterns: Patterns | undefined): readonly Pattern[] {
  if (patterns === undefined) return [];
  const list = Array.isArray(patterns) ? (patterns as readonly Pattern[]) : [patterns as Pattern];
  for (const pattern of list) {
    if (typeof pattern !== 'string' && !(pattern instanceof RegExp)) {
      throw new ArgumentTypeError('a pattern of stats entries is a string or a RegExp');
    }
  }
  return list;
}

/** The same for the same patterns. */
export function patternKey(patterns: readonly Pattern[]): string {
  return patterns
    .map((pattern) => (typeof pattern === 'string' ? `s${pattern}` : `r${pattern.flags}/${pattern.source}`))
    .join('\n');
}

/** Whether a name matches any of the patterns. @throws {StatsError} `ERR_STATS_PATTERN` */
export function matcher(patterns: readonly Pattern[]): (name: string) => boolean {
  if (patterns.length === 0) return () => true;
  const tests = patterns.map((pattern): ((name: string) => boolean) => {
    if (typeof pattern !== 'string') {
      // A global or sticky RegExp goes on where it stopped; here each name is new.
      const own = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
      return (name) => own.test(name);
    }
    // By far the most patterns are the beginning of a name.
    if (/^\^?[\w/ -]*$/.test(pattern)) {
      const start = pattern.replace(/^\^/, '');
      return (name) => name.startsWith(start);
    }
    let own: RegExp;
    try {
      own = new RegExp(`^(?:${pattern.replace(/^\^/, '')})`);
    } catch (cause) {
      throw new StatsError(
        'PATTERN',
        `the pattern ${JSON.stringify(pattern)} is no regular expression: ${(cause as Error).message}`,
        { cause },
      );
    }
    return (name) => own.test(name);
  });
  return (name) => tests.some((test) => test(name));
}

/** Text with a meaning for patterns, as a pattern that means only itself. */
export const escapePattern = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
