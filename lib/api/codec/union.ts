// Unions: one place, several readings. The tag (see plan.ts) says which one holds.
//
//   tagged    { arm: value } with the one arm that the tag means; { bytes } when the tag means none
//   untagged  { a: value, b: value, … }, the same bytes read each way; one of them is enough for encoding
//   address   the text of the address (values: 'text'); 0x… of all 16 bytes when the tag means neither family
//
// Invariant: what is not written by an arm is zero.

import { ipv4Text, ipv6Text, scanIpv4, scanIpv6 } from '../../net/ip.js';
import { isIp6 } from './address.js';
import type { Part, UnionNode } from './plan.js';
import { describe, listLength, Problem, readBytes, writeBytes } from './runtime.js';
import { looksLikeHex, readHex } from './text.js';

type ArmWriter = (value: unknown, target: Uint8Array, offset: number) => unknown;
type ArmReader = (bytes: Uint8Array, offset: number) => unknown;
type Cases = ReadonlyMap<number, number> | undefined;

/** Writes a union at `offset`; `tag` is the discriminator's number, -1 when there is none. */
export type UnionWriter = (value: unknown, target: Uint8Array, offset: number, tag: number) => void;
export type UnionReader = (bytes: Uint8Array, offset: number, tag: number) => unknown;

/**
 * @param exact - whether an arm that is not the tag's is taken as it is given, instead of being an error
 */
export function unionWriter(node: UnionNode, cases: Cases, writers: readonly ArmWriter[], exact: boolean): UnionWriter {
  const { arms, size, name } = node;
  const indexes = new Map(arms.map((arm, index) => [arm.name, index]));
  const names = arms.map((arm) => arm.name).join(', ');
  const check = (arm: number, tag: number): void => {
    if (exact || cases === undefined || tag < 0) return;
    const wanted = cases.get(tag);
    if (wanted === undefined)
      throw new Problem(`the arm ${arms[arm]!.name} is given, but the discriminator ${tag} means none`);
    if (wanted !== arm)
      throw new Problem(
        `the arm ${arms[arm]!.name} is given, but the discriminator ${tag} means ${arms[wanted]!.name}`,
      );
  };

  return (value, target, offset, tag) => {
    if (node.text === 'ip' && typeof value === 'string' && !looksLikeHex(value)) {
      const arm = isIp6(value) ? 1 : 0;
      const reason = (arm === 1 ? scanIpv6 : scanIpv4)(value, 0, value.length, target, offset);
      if (reason !== '') throw new Problem(`${describe(value)} is no IP address: ${reason}`);
      check(arm, tag);
      return;
    }
    if (node.text === 'ip' && (typeof value === 'string' || value instanceof Uint8Array)) {
      const length = listLength(value, true);
      if (length !== 16 && length !== 4) throw new Problem(`${describe(value)} is no IP address`);
      writeBytes(value, target, offset, 16);
      return;
    }
    if (typeof value !== 'object' || value === null)
      throw new Problem(`${describe(value)} is no ${name}: an object with one of ${names} is needed`);
    let written = -1;
    for (const key in value) {
      const given = (value as Record<string, unknown>)[key];
      if (given === undefined) continue;
      const index = indexes.get(key);
      if (index === undefined && key === 'bytes') {
        try {
          writeBytes(given, target, offset, size);
        } catch (error) {
          throw error instanceof Problem ? error.inside(key) : error;
        }
        continue;
      }
      if (index === undefined) throw new Problem(`there is no such arm; there are ${names}`).inside(key);
      check(index, tag);
      try {
        if (written < 0) writers[index]!(given, target, offset);
        else addArm(writers[index]!, arms[index]!.node.size, given, arms[written]!, target, offset);
      } catch (error) {
        throw error instanceof Problem ? error.inside(key) : error;
      }
      if (written < 0 || arms[index]!.node.size > arms[written]!.node.size) written = index;
    }
  };
}

/** A second arm of one union: it may not say something else than the first where the two overlap. */
function addArm(write: ArmWriter, size: number, value: unknown, first: Part, target: Uint8Array, offset: number): void {
  const other = new Uint8Array(size);
  write(value, other, 0);
  for (let at = 0; at < Math.min(size, first.node.size); at++) {
    if (other[at] !== target[offset + at]) {
      throw new Problem(`it says something else than ${first.name}, which shares its bytes`);
    }
  }
  for (let at = first.node.size; at < size; at++) target[offset + at] = other[at]!;
}

export function unionReader(node: UnionNode, cases: Cases, readers: readonly ArmReader[], exact: boolean): UnionReader {
  const { arms, size } = node;
  if (cases === undefined) {
    if (exact) return (bytes, offset) => ({ bytes: readBytes(bytes, offset, size) });
    return (bytes, offset) => Object.fromEntries(arms.map((arm, index) => [arm.name, readers[index]!(bytes, offset)]));
  }
  if (node.text === 'ip' && !exact) {
    return (bytes, offset, tag) => {
      const arm = cases.get(tag);
      return arm === 0 ? ipv4Text(bytes, offset) : arm === 1 ? ipv6Text(bytes, offset) : readHex(bytes, offset, 16);
    };
  }
  return (bytes, offset, tag) => {
    const index = cases.get(tag);
    if (index === undefined) return { bytes: readBytes(bytes, offset, size) };
    const arm = arms[index]!;
    if (exact) {
      for (let at = offset + arm.node.size; at < offset + size; at++) {
        if (bytes[at] !== 0) return { bytes: readBytes(bytes, offset, size) };
      }
    }
    return { [arm.name]: readers[index]!(bytes, offset) };
  };
}
