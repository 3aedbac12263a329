// A message codec: bytes to fields and back, for one message of one schema. Compiled in three pieces, each when it is
// first used: encoder, decoder, rows.
//
//   fields ─ encode ─► | _vl_msg_id | client_index | context | body …   ─ decode ─► fields
//                        └───── left zero; the connection fills in ────┘
//
// Invariant: generated code and closures behave alike; whichever runs, a problem is told by the closures, which know
// the way to the field.

import { VppDecodeError, VppEncodeError } from '../../errors.js';
import type { MessageDef } from '../schema/model.js';
import { ClosureReaders } from './closure-readers.js';
import { ClosureWriters } from './closure-writers.js';
import { codeGenerationAllowed } from './generate.js';
import { generateDecoder } from './generate-decoder.js';
import { generateEncoder } from './generate-encoder.js';
import { generateRow } from './generate-row.js';
import { planMessage, type MessagePlan } from './plan.js';
import type { Row } from './row.js';
import { Problem, zero } from './runtime.js';

/** How values are mapped. See docs/api-schema.md. */
export interface CodecOptions {
  /**
   * `text` (default): addresses, prefixes and MACs are text, and the arm of a union must be that of its discriminator.
   * `exact`: they are bytes and structs as on the wire, nothing is lost, and an arm is taken as it is given.
   */
  readonly values?: 'text' | 'exact' | undefined;
  /** Byte order of f64: VPP uses that of its host (default: this one's). */
  readonly f64?: 'little' | 'big' | undefined;
  /** Default: generated code where `new Function` is allowed, closures where it is not. */
  readonly backend?: 'generated' | 'closures' | undefined;
}

/** What the compilers need to know of the options. */
export interface CodecMode {
  readonly exact: boolean;
  readonly little: boolean;
}

/** Encodes and decodes one message. */
export interface MessageCodec {
  readonly def: MessageDef;
  readonly name: string;
  /** `0x51077d14` */
  readonly crc: string;
  /** Bytes of the message, u16 _vl_msg_id included, with all variable parts empty. */
  readonly fixedSize: number;
  /** Where the header fields are, from the start of the message; -1 when it has no such field. */
  readonly clientIndexOffset: number;
  readonly contextOffset: number;
  readonly retvalOffset: number;
  /** False for the two messages whose retval is a u32. */
  readonly retvalSigned: boolean;
  /** Bytes that encode() will write for these fields. Checks nothing. */
  size(fields: object): number;
  /**
   * Writes the message into target at offset, header fields zero, and returns the end.
   * @throws {VppEncodeError} when a field does not fit, is unknown, or the target is too small; nothing is to be sent then
   */
  encode(fields: object, target: Uint8Array, offset: number): number;
  /**
   * Decodes the message in bytes[start, end), without its header fields; bytes behind its last field are ignored.
   * @throws {VppDecodeError} when the message ends too early
   */
  decode(bytes: Uint8Array, start: number, end: number): Record<string, unknown>;
  /**
   * The message as a lazy row over the same bytes. The bounds of all fields are checked now.
   * @throws {VppDecodeError} when the message ends too early
   */
  view(bytes: Uint8Array, start: number, end: number): Row & Record<string, unknown>;
}

export interface Encoder {
  /** Bytes beyond the fixed size. */
  extra: (fields: unknown) => number;
  write: (fields: unknown, target: Uint8Array, offset: number) => number;
}

export type Decoder = (bytes: Uint8Array, start: number, end: number) => Record<string, unknown>;
export type Viewer = (bytes: Uint8Array, start: number, end: number) => Row;

const hostIsLittle = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

class CompiledCodec implements MessageCodec {
  readonly def: MessageDef;
  readonly name: string;
  readonly crc: string;
  readonly fixedSize: number;
  readonly clientIndexOffset: number;
  readonly contextOffset: number;
  readonly retvalOffset: number;
  readonly retvalSigned: boolean;
  readonly #plan: MessagePlan;
  readonly #mode: CodecMode;
  readonly #generated: boolean;
  #writers: ClosureWriters | undefined;
  #readers: ClosureReaders | undefined;
  #encoder: Encoder | undefined;
  #decoder: Decoder | undefined;
  #viewer: Viewer | undefined;

  constructor(def: MessageDef, options: CodecOptions) {
    const plan = planMessage(def);
    this.def = def;
    this.name = def.name;
    this.crc = def.crc;
    this.fixedSize = plan.struct.size;
    this.clientIndexOffset = plan.clientIndexOffset;
    this.contextOffset = plan.contextOffset;
    this.retvalOffset = plan.retvalOffset;
    this.retvalSigned = plan.retvalSigned;
    this.#plan = plan;
    this.#mode = {
      exact: options.values === 'exact',
      little: options.f64 === undefined ? hostIsLittle : options.f64 === 'little',
    };
    this.#generated = options.backend === undefined ? codeGenerationAllowed() : options.backend === 'generated';
  }

  size(fields: object): number {
    return this.fixedSize + (this.#plan.struct.variable ? this.#getEncoder().extra(fields) : 0);
  }

  encode(fields: object, target: Uint8Array, offset: number): number {
    const encoder = this.#encoder ?? this.#getEncoder();
    try {
      const end = offset + this.fixedSize + (this.#plan.struct.variable ? encoder.extra(fields) : 0);
      if (end > target.length || offset < 0)
        throw new Problem(`${end - offset} bytes are needed, the target has ${target.length - offset} left`);
      zero(target, offset, end);
      if (encoder.write(fields, target, offset) !== end)
        throw new Problem('the fields changed while they were encoded');
      return end;
    } catch (error) {
      throw this.#encodeError(error, fields);
    }
  }

  decode(bytes: Uint8Array, start: number, end: number): Record<string, unknown> {
    const decoder = this.#decoder ?? this.#getDecoder();
    try {
      return decoder(bytes, start, checkedEnd(bytes, start, end));
    } catch (error) {
      throw this.#decodeError(error, bytes, start, end);
    }
  }

  view(bytes: Uint8Array, start: number, end: number): Row & Record<string, unknown> {
    const viewer = this.#viewer ?? this.#getViewer();
    try {
      return viewer(bytes, start, checkedEnd(bytes, start, end)) as Row & Record<string, unknown>;
    } catch (error) {
      throw this.#decodeError(error, bytes, start, end);
    }
  }

  get #closureReaders(): ClosureReaders {
    return (this.#readers ??= new ClosureReaders(this.#mode));
  }

  #getEncoder(): Encoder {
    return (this.#encoder ??= this.#generated ? generateEncoder(this.#plan, this.#mode) : this.#closureEncoder());
  }

  #closureEncoder(): Encoder {
    const { struct } = this.#plan;
    const writers = (this.#writers ??= new ClosureWriters(this.#mode));
    const write = writers.writer(struct);
    return {
      extra: writers.sizer(struct),
      write: (fields, target, offset) => write(fields, target, offset, -1),
    };
  }

  #getDecoder(): Decoder {
    return (this.#decoder ??= this.#generated ? generateDecoder(this.#plan, this.#mode) : this.#closureDecoder());
  }

  #closureDecoder(): Decoder {
    const read = this.#closureReaders.reader(this.#plan.struct);
    return (bytes, start, end) => read(bytes, start, end, -1, { at: 0 }) as Record<string, unknown>;
  }

  #getViewer(): Viewer {
    if (this.#viewer !== undefined) return this.#viewer;
    const { struct } = this.#plan;
    const { skip, row: StructRow } = this.#generated
      ? generateRow(this.#plan, this.#mode)
      : { skip: this.#closureReaders.skipper(struct), row: this.#closureReaders.row(struct) };
    this.#viewer = (bytes, start, end) => new StructRow(bytes, start, skip(bytes, start, end), -1);
    return this.#viewer;
  }

  /** The error to throw for a failed encode: the closures are run again to find the field, then the target is forgotten. */
  #encodeError(error: unknown, fields: object): unknown {
    if (error instanceof Problem && error.path !== '' && !this.#generated)
      return new VppEncodeError(this.name, error.path, error.message);
    try {
      const { extra, write } = this.#closureEncoder();
      write(fields, new Uint8Array(this.fixedSize + extra(fields)), 0);
    } catch (found) {
      if (found instanceof Problem) return new VppEncodeError(this.name, found.path, found.message);
      return found;
    }
    return error instanceof Problem ? new VppEncodeError(this.name, '', error.message) : error;
  }

  #decodeError(error: unknown, bytes: Uint8Array, start: number, end: number): unknown {
    if (error instanceof Problem && !this.#generated) return new VppDecodeError(this.name, error.path, error.message);
    try {
      this.#closureDecoder()(bytes, start, checkedEnd(bytes, start, end));
    } catch (found) {
      if (found instanceof Problem) return new VppDecodeError(this.name, found.path, found.message);
      return found;
    }
    return error instanceof Problem ? new VppDecodeError(this.name, '', error.message) : error;
  }
}

function checkedEnd(bytes: Uint8Array, start: number, end: number): number {
  if (start < 0 || end > bytes.length)
    throw new Problem(`it is said to be at ${start}–${end} of ${bytes.length} bytes`);
  return end;
}

/**
 * Compiles the codec of a message.
 * @throws {VppSchemaError} when its definition is impossible
 */
export function createCodec(def: MessageDef, options: CodecOptions = {}): MessageCodec {
  return new CompiledCodec(def, options);
}
