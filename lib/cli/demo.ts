// `node-vpp demo`: two hosts, each in a worker thread on its end of one memif, exchange Ethernet and IP traffic.

import { type Command, Option } from 'commander';
import { packetRate, seconds, wholeNumber } from './arguments.js';
import type { DemoFlags } from './demo/run.js';
import { shortestNumbered } from './memif/packets.js';

/** Adds `demo` to the command. */
export function register(program: Command): void {
  program
    .command('demo')
    .description('two hosts exchange ARP, pings and UDP flows over a memif; shows rates, drops and latency')
    .option('--seconds <seconds>', 'end after so long (default: at Ctrl-C)', seconds)
    .option('--rate <packets>', 'UDP packets a second each way: 500, 200k, 1.5M, max', packetRate, 250_000)
    .addOption(
      new Option('--mode <mode>', 'how packets are waited for')
        .choices(['adaptive', 'interrupt', 'polling'])
        .default('adaptive'),
    )
    .option('--size <bytes>', 'bytes of each UDP frame', wholeNumber(shortestNumbered('198.18.0.1'), 65535), 64)
    .option('--flows <number>', 'UDP flows each way', wholeNumber(1, 1024), 4)
    .option('--pcap <file>', 'replay the frames of a pcapng file, again and again, instead of UDP flows')
    .addOption(new Option('--peer <program>', 'the other end is another program').choices(['testpmd']))
    .addOption(
      new Option('--forward <mode>', 'testpmd: answer ARP and ping, or send everything back')
        .choices(['icmpecho', 'macswap'])
        .default('icmpecho'),
    )
    .option('--json', 'one JSON object per line')
    .action(async (flags: DemoFlags) => {
      await (await import('./demo/run.js')).demo(flags);
    });
}
