// `node-vpp demo`: the dataplane as a router, driven over VPP's API, between two CNFs in worker threads and (as root) two
// namespaces of the kernel. With --memif, --pcap or --peer: two hosts on the two ends of one memif, without a router.

import { type Command, Option } from 'commander';
import { packetRate, seconds, wholeNumber } from './arguments.js';
import type { DemoFlags } from './demo/run.js';
import { shortestNumbered } from './memif/packets.js';

/** Adds `demo` to the command. */
export function register(program: Command): void {
  program
    .command('demo')
    .description("a dataplane routes between two CNFs and two namespaces, made over VPP's API; shows what happens")
    .option('--seconds <seconds>', 'end after so long (default: at Ctrl-C)', seconds)
    .option(
      '--rate <packets>',
      'UDP packets a second each way: 500, 200k, 1.5M, max (default: 50k, with --memif 250k)',
      packetRate,
    )
    .addOption(
      new Option('--mode <mode>', 'how packets are waited for')
        .choices(['adaptive', 'interrupt', 'polling'])
        .default('adaptive'),
    )
    .option('--size <bytes>', 'bytes of each UDP frame', wholeNumber(shortestNumbered('198.18.0.1'), 65535), 64)
    .option('--flows <number>', 'UDP flows each way', wholeNumber(1, 1024), 4)
    .option('--memif', 'without a dataplane: two hosts on one memif, with rates, drops and latency')
    .option('--pcap <file>', 'on one memif: replay the frames of a pcapng file, again and again, instead of UDP flows')
    .addOption(new Option('--peer <program>', 'on one memif: the other end is another program').choices(['testpmd']))
    .addOption(
      new Option('--forward <mode>', 'testpmd: answer ARP and ping, or send everything back')
        .choices(['icmpecho', 'macswap'])
        .default('icmpecho'),
    )
    .option('--json', 'one JSON object per line')
    .action(async (flags: DemoFlags) => {
      if (flags.memif === true || flags.pcap !== undefined || flags.peer !== undefined) {
        await (await import('./demo/run.js')).demo(flags);
      } else await (await import('./demo/network.js')).networkDemo(flags);
    });
}
