// `node-vpp stats`: what VPP counts, from its stats segment.
//
//   ls [PATTERN…]      names and types            get [PATTERN…]   values
//   watch [PATTERN…]   rates, again and again     top              a full-screen table of interfaces, nodes, errors
//
// --file reads a saved image of a segment instead of a running VPP.

import { type Command, Option } from 'commander';
import { seconds, wholeNumber } from './arguments.js';
import type { GetFlags } from './stats/show.js';
import type { TopFlags } from './stats/top.js';
import type { WatchFlags } from './stats/watch.js';

/** Adds `stats` and its commands. */
export function register(program: Command): void {
  const stats = program
    .command('stats')
    .description('read the stats segment: ls, get, watch, top')
    .option('-s, --socket <path>', 'stats socket of VPP, or an abstract name: @name', '/run/vpp/stats.sock')
    .option('--file <image>', 'read a saved segment instead (also compressed with gzip)')
    .option('--timeout <seconds>', 'for the connection', seconds, 5);
  const patterns = 'regular expressions, matched from the beginning of the name; none: all';

  stats
    .command('ls')
    .description('list entries')
    .argument('[patterns...]', patterns)
    .option('--json', 'one JSON object per line')
    .action(async (list: string[], _flags: object, command: Command) => {
      await (await import('./stats/show.js')).ls(list, command.optsWithGlobals<GetFlags>());
    });
  stats
    .command('get')
    .description('print values')
    .argument('[patterns...]', patterns)
    .option('--json', 'one JSON object per line; values as decimal text, which is exact')
    .option('--zeros', 'also what is 0')
    .option('--per-thread', 'a value per thread instead of one over all')
    .action(async (list: string[], _flags: object, command: Command) => {
      await (await import('./stats/show.js')).get(list, command.optsWithGlobals<GetFlags>());
    });
  stats
    .command('watch')
    .description('print rates of counters and values of gauges, again and again, over restarts of VPP')
    .argument('[patterns...]', patterns)
    .option('--interval <seconds>', 'time between readings', seconds, 1)
    .option('--count <readings>', 'end after so many', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--zeros', 'also what stands still')
    .option('--json', 'one JSON object per line')
    .action(async (list: string[], _flags: object, command: Command) => {
      await (await import('./stats/watch.js')).watch(list, command.optsWithGlobals<WatchFlags>());
    });
  stats
    .command('top')
    .description(
      'a live table of interfaces, nodes or errors; keys: i n e view, s S sort, r reverse, / filter, z zeros, q end',
    )
    .addOption(
      new Option('--view <view>', 'what to show first')
        .choices(['interfaces', 'nodes', 'errors'])
        .default('interfaces'),
    )
    .option('--sort <column>', 'column to sort by, as in its heading')
    .option('--reverse', 'least first')
    .option('--filter <text>', 'only names that contain this')
    .option('--zeros', 'also rows where nothing happens')
    .option('--interval <seconds>', 'time between readings', seconds, 1)
    .option('--count <readings>', 'end after so many', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--rows <rows>', 'no more rows than this', wholeNumber(1, 100_000))
    .option('--json', 'one JSON object per reading')
    .action(async (_flags: object, command: Command) => {
      await (await import('./stats/top.js')).top(command.optsWithGlobals<TopFlags>());
    });
}
