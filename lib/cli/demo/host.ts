// One host of the demo, in a worker thread of its own: rings in, rings out, nobody in between.
//
//   up --> ARP for the other host --> pings (one every 5 ms) and UDP flows (or replayed frames) at the wanted rate
//
// Frames are written in place into ring buffers and read in place from them. Each generated frame carries a number and
// its complement, which leaves its checksums alone; the receiver looks for gaps. At a limited rate the host works once
// a millisecond and sleeps in between; at full rate it gives the event loop a turn every 200 µs.

import { parentPort, workerData } from 'node:worker_threads';
import { MemifError } from '../../errors.js';
import { type RxQueue, openShared } from '../../memif/index.js';
import { ArpOperation, ArpView, UdpView, arpRequestFrame, ipv4ToNumber, macToNumber } from '../../net/index.js';
import { count as countTime } from '../latency.js';
import { Host } from '../memif/host.js';
import { numberAt, ping, putNumber, readNumber, udpFlows } from '../memif/packets.js';
import { Count, type HostOrders } from './shared.js';

const burstSize = 64;
const tickMs = 1;
const turnMs = 0.2;
const pingEveryMs = 5;
const pingIdentifier = 0x6e76;
const firstPort = 5000;
const flowPort = 4789;
/** Buffers that flows leave free, for pings and answers. */
const keptFree = 32;
/** Of so many frames one has all of its UDP checksum computed. */
const checkEvery = 64;
/** A sleep too long (a busy machine) is made up for by at most this much. */
const mostDebtMs = 20;

const orders = workerData as HostOrders;
const { counters, histogram, self, other, via, rate, flows, size, replay } = orders;
const queues = openShared(orders.port);
const link = via?.address ?? self.address;
/** Who takes packets for the other host: itself, or a router. */
const nextHop = via?.router ?? other.address;
const host = new Host({ mac: self.mac, addresses: [...new Set([self.address, link])] });
const at = numberAt(self.address, 'ethernet');
const sentAt = new Float64Array(0x10000);
const nextSent = new Uint32Array(flows);
const nextSeen = new Uint32Array(flows);
const udp = new UdpView();
const arp = new ArpView();
const otherNumber = ipv4ToNumber(nextHop);

let templates: Uint8Array[] = [];
let longest = 0;
let pingTemplate: Uint8Array | undefined;
let pingNumber = 0;
let replayAt = 0;
let flowAt = 0;
let askedAt = 0;
let stopping = false;

/** The other host is at this address: traffic can begin. */
function learn(mac: string, how: 1 | 2): void {
  if (pingTemplate !== undefined) return;
  const shape = {
    sourceMac: self.mac,
    destinationMac: mac,
    source: self.address,
    destination: other.address,
    numbered: true,
  };
  templates = replay === undefined ? udpFlows({ ...shape, size }, flows, firstPort, flowPort) : [...replay];
  longest = templates.reduce((length, frame) => Math.max(length, frame.length), 0);
  pingTemplate = ping({ ...shape, size: 98 }, pingIdentifier, 0);
  counters[Count.neighborMac] = macToNumber(mac);
  counters[Count.resolvedUs] = (performance.now() - askedAt) * 1000;
  counters[Count.resolved] = how;
}

function receive(rx: RxQueue): void {
  const burst = rx.peek(burstSize);
  const { count, offsets, lengths, regions, memory, more } = burst;
  if (count === 0) return;
  let received = 0;
  for (let i = 0; i < count; i++) {
    const bytes = memory[regions[i]!]!;
    const offset = offsets[i]!;
    const length = lengths[i]!;
    // A generated frame: IPv4 without options, UDP, to the port of the flows.
    if (
      replay === undefined &&
      length === size &&
      bytes[offset + 12] === 8 &&
      bytes[offset + 13] === 0 &&
      bytes[offset + 14] === 0x45 &&
      bytes[offset + 23] === 17 &&
      ((bytes[offset + 36]! << 8) | bytes[offset + 37]!) === flowPort
    ) {
      received++;
      const number = readNumber(bytes, offset + at);
      const flow = ((bytes[offset + 34]! << 8) | bytes[offset + 35]!) - firstPort;
      if (number < 0 || flow < 0 || flow >= flows) {
        counters[Count.damaged]!++;
        continue;
      }
      const gap = (number - nextSeen[flow]!) | 0;
      if (gap > 0) counters[Count.lost]! += gap;
      if (gap >= 0) nextSeen[flow] = number + 1;
      if (number % checkEvery === 0) {
        udp.at(bytes, offset + 34, length - 34);
        if (!udp.checksumOk(offset + 14)) counters[Count.damaged]!++;
      }
      continue;
    }
    if (more[i] === 0 && special(bytes, offset, length)) continue;
    if (more[i] === 0) received++;
  }
  counters[Count.flowReceived]! += received;
  rx.release(count);
}

/** ARP and ping of the two hosts; everything else is replayed traffic. */
function special(bytes: Uint8Array, offset: number, length: number): boolean {
  const verdict = host.look(bytes, offset, length);
  if (verdict === 'neighbor') {
    if (host.neighborIp !== nextHop) return false;
    learn(host.neighborMac, 1);
    return true;
  }
  if (verdict === 'request') {
    if (host.question === 'arp') {
      // Replayed frames may ask for this host too; those between the two hosts are left out of the replay.
      if (!arp.at(bytes, offset + 14, length - 14) || arp.senderIpNumber !== otherNumber) return false;
    } else if (((bytes[offset + 38]! << 8) | bytes[offset + 39]!) !== pingIdentifier) return false;
    const out = queues.tx[0]!.reserve(1, Math.max(host.room, 64));
    // Without room the other host asks again, or counts a ping as not answered.
    if (out.count !== 1) return true;
    out.lengths[0] = host.answer(out.memory[out.regions[0]!]!, out.offsets[0]!);
    queues.tx[0]!.commit(1);
    if (host.question === 'echo') counters[Count.pingServed]!++;
    return true;
  }
  if (verdict === 'reply' && host.identifier === pingIdentifier) return pingBack(bytes, host.payloadOffset);
  if (!orders.mirrored || length < 42) return false;
  // A peer that sends everything back: our own pings come home.
  const own = bytes[offset + 23] === 1 && ((bytes[offset + 38]! << 8) | bytes[offset + 39]!) === pingIdentifier;
  if (own) return pingBack(bytes, offset + at);
  return arp.at(bytes, offset + 14, length - 14) && arp.operation === ArpOperation.REQUEST;
}

function pingBack(bytes: Uint8Array, numberOffset: number): boolean {
  const number = readNumber(bytes, numberOffset);
  const start = number < 0 ? 0 : sentAt[number & 0xffff]!;
  if (start === 0) return true;
  sentAt[number & 0xffff] = 0;
  counters[Count.pingAnswered]!++;
  countTime(histogram, (performance.now() - start) * 1e6);
  return true;
}

function sendPing(): void {
  const tx = queues.tx[0]!;
  const frame = pingTemplate!;
  const burst = tx.reserve(1, frame.length);
  if (burst.count !== 1) return;
  const bytes = burst.memory[burst.regions[0]!]!;
  const offset = burst.offsets[0]!;
  bytes.set(frame, offset);
  pingNumber = (pingNumber + 1) >>> 0;
  putNumber(bytes, offset + at, pingNumber);
  sentAt[pingNumber & 0xffff] = performance.now();
  tx.commit(1);
  counters[Count.pingSent]!++;
}

/** Writes up to `want` frames into the ring; returns how many. */
function sendFlows(want: number): number {
  const tx = queues.tx[0]!;
  const room = tx.free - keptFree;
  if (room <= 0) return 0;
  const burst = tx.reserve(want < room ? want : room, longest);
  const { count, offsets, lengths, regions, memory } = burst;
  if (burst.packets !== count) {
    throw new MemifError('PACKET_TOO_LONG', `sending frames of ${longest} bytes: the peer's buffers are smaller`);
  }
  for (let i = 0; i < count; i++) {
    const bytes = memory[regions[i]!]!;
    const offset = offsets[i]!;
    if (replay === undefined) {
      bytes.set(templates[flowAt]!, offset);
      putNumber(bytes, offset + at, nextSent[flowAt]!++);
      flowAt = flowAt + 1 === flows ? 0 : flowAt + 1;
    } else {
      const frame = templates[replayAt]!;
      bytes.set(frame, offset);
      lengths[i] = frame.length;
      replayAt = replayAt + 1 === templates.length ? 0 : replayAt + 1;
    }
  }
  tx.commit(count);
  counters[Count.flowSent]! += count;
  return count;
}

const question = arpRequestFrame({ senderMac: self.mac, senderIp: link, targetIp: nextHop });

function ask(): void {
  const burst = queues.tx[0]!.reserve(1, question.length);
  if (burst.count !== 1) return;
  askedAt = performance.now();
  burst.memory[burst.regions[0]!]!.set(question, burst.offsets[0]);
  queues.tx[0]!.commit(1);
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function run(): Promise<void> {
  await queues.up();
  queues.listen(receive);
  parentPort!.postMessage('up');
  while (pingTemplate === undefined && !stopping) {
    if (performance.now() - askedAt > 200) ask();
    if (orders.mirrored) learn(other.mac, 2);
    await sleep(tickMs);
  }
  let then = performance.now();
  let pingDue = then;
  let credit = 0;
  while (!stopping && queues.isUp) {
    const now = performance.now();
    if (now >= pingDue) {
      sendPing();
      pingDue = Math.max(pingDue + pingEveryMs, now);
    }
    if (via !== undefined && counters[Count.pingAnswered] === 0) {
      // Behind a router the way there and back is known when the first ping is home.
      then = now;
      await sleep(tickMs);
      continue;
    }
    if (rate === Infinity) {
      for (const end = now + turnMs; performance.now() < end;) {
        receive(queues.rx[0]!);
        if (sendFlows(burstSize) === 0) break;
      }
      await turn();
      continue;
    }
    credit = Math.min(credit + ((now - then) * rate) / 1000, 1 + (mostDebtMs * rate) / 1000);
    then = now;
    while (credit >= 1) {
      const sent = sendFlows(Math.min(burstSize, Math.floor(credit)));
      if (sent === 0) break;
      credit -= sent;
    }
    await sleep(tickMs);
  }
}

/** Waits until the other host has taken everything, and for the answers to pings that are on the way. */
async function settle(): Promise<void> {
  const tx = queues.tx[0];
  if (tx === undefined) return;
  for (let i = 0; i < 200 && queues.isUp; i++) {
    const pinging = i < 40 && counters[Count.pingAnswered]! < counters[Count.pingSent]!;
    if (tx.free === tx.size && !pinging) return;
    await sleep(10);
  }
}

async function main(): Promise<void> {
  parentPort!.once('message', () => {
    stopping = true;
  });
  await run();
  await settle();
  parentPort!.postMessage('done');
}

// What fails here fails in the main thread, as this worker's error.
void main();
