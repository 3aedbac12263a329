// `node-vpp memif …`: what one memif interface can do from a shell. Each command is a file in lib/cli/memif that is
// loaded when it is asked for.
//
//   listen, connect   count what comes, say what happens
//   dump              every packet as text or pcapng
//   send              packets from hexadecimal, a capture, or generated
//   echo              answer ARP, neighbor discovery and ping
//   bench             rates and round-trip times

import { type Command, Option } from 'commander';
import {
  hexPackets,
  ipAddress,
  ipAddresses,
  macAddress,
  packetRate,
  seconds as secondsOf,
  wholeNumber,
} from './arguments.js';
import type { BenchCase, BenchFlags } from './memif/bench.js';
import type { DumpFlags } from './memif/dump.js';
import type { EchoFlags } from './memif/echo.js';
import { type InterfaceFlags, addInterfaceOptions } from './memif/open.js';
import type { SendFlags } from './memif/send.js';

const socketText = 'path of the socket, or an abstract name: @name';

/** Adds `memif` and its commands. */
export function register(program: Command): void {
  const memif = program
    .command('memif')
    .description('open a memif interface: listen, connect, dump, send, echo, bench');

  for (const [name, role, what] of [
    ['listen', 'server', 'be a server: wait for a peer'],
    ['connect', 'client', 'be a client: connect to a peer, again and again'],
  ] as const) {
    addInterfaceOptions(memif.command(name), role)
      .description(`${what}; count what comes, print what happens`)
      .argument('<socket>', socketText)
      .option('--seconds <seconds>', 'end after so long', secondsOf)
      .action(async (socket: string, flags: InterfaceFlags & { seconds?: number }) => {
        await (await import('./memif/watch.js')).watch(socket, role, flags);
      });
  }

  addInterfaceOptions(memif.command('dump'))
    .description('take what comes and show it, as text or as pcapng')
    .argument('<socket>', socketText)
    .option('--write <file>', 'write pcapng to a file, or - for standard output')
    .option('--count <packets>', 'end after so many packets', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--seconds <seconds>', 'end after so long', secondsOf)
    .option('--snap-length <bytes>', 'most bytes kept of a packet, 0 is all (pcapng)', wholeNumber(0, 0xffff), 0)
    .action(async (socket: string, flags: DumpFlags) => {
      await (await import('./memif/dump.js')).dump(socket, flags);
    });

  const addAddresses = (command: Command): Command =>
    command
      .option('--source <address>', 'our IP address', ipAddress, '10.0.0.1')
      .option('--destination <address>', 'where packets go', ipAddress, '10.0.0.2')
      .option('--source-mac <mac>', 'our MAC address', macAddress, '02:fe:00:00:00:01')
      .option('--destination-mac <mac>', 'instead of asking for it by ARP or neighbor discovery', macAddress)
      .option('--size <bytes>', 'bytes of a generated frame, Ethernet header included', wholeNumber(64, 65535), 64)
      .option('--wait <seconds>', 'how long to wait for the peer', secondsOf, 10);

  addAddresses(addInterfaceOptions(memif.command('send')))
    .description('send packets; say which with one of --hex, --pcap, --udp and --icmp')
    .argument('<socket>', socketText)
    .option('--hex <digits>', 'a packet in hexadecimal; may be repeated', hexPackets)
    .option('--pcap <file>', 'the packets of a pcapng file')
    .option('--udp', 'generated UDP flows')
    .option('--icmp', 'pings; shows the answers')
    .option('--flows <number>', 'UDP: flows, told apart by source port', wholeNumber(1, 0xffff), 1)
    .option('--source-port <port>', 'UDP: source port of the first flow', wholeNumber(0, 0xffff), 5000)
    .option('--destination-port <port>', 'UDP: destination port', wholeNumber(0, 0xffff), 9)
    .option('--count <packets>', 'how many (default: each once; 4 pings)', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--rate <packets>', 'packets a second: 500, 200k, 1.5M, max (default: max; 1 for pings)', packetRate)
    .action(async (socket: string, flags: SendFlags) => {
      await (await import('./memif/send.js')).send(socket, flags);
    });

  addInterfaceOptions(memif.command('echo'))
    .description('answer ARP, neighbor discovery and ping')
    .argument('<socket>', socketText)
    .option(
      '--address <address>',
      'IPv4 or IPv6 address to answer for; may be repeated (default: 10.0.0.2)',
      ipAddresses,
    )
    .option('--mac <mac>', 'our MAC address', macAddress, '02:fe:00:00:00:02')
    .option('--seconds <seconds>', 'end after so long', secondsOf)
    .action(async (socket: string, flags: EchoFlags) => {
      await (await import('./memif/echo.js')).echo(socket, flags);
    });

  addAddresses(addInterfaceOptions(memif.command('bench')))
    .description('measure against whatever peer there is')
    .argument('<socket>', socketText)
    .addOption(
      new Option('--case <case>', 'what to measure').choices(['send', 'receive', 'round-trip']).default('round-trip'),
    )
    .option('--seconds <seconds>', 'how long, after one second of warm-up', wholeNumber(1, 86_400), 5)
    .option('--window <packets>', 'round-trip: packets on the way at a time', wholeNumber(1, 1024), 1)
    .action(async (socket: string, flags: BenchFlags & { case: BenchCase }) => {
      await (await import('./memif/bench.js')).bench(flags.case, socket, flags);
    });
}
