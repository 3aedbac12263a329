// One append-only file of frames, each with a checksum.
//
//   | magic 4 | length 4 | synced 8 | crc32 4 | payload |
//
// `synced` is how many bytes of this file were known to be on disk when the frame was written. It tells a torn tail (the
// damage lies behind what any later frame knew to be on disk: cut it off) from a damaged disk (it lies before: say so).
// Appends are gathered; one write and one fdatasync serve everybody who waits. Invariant: after sync() resolves, every frame
// appended before it was called is on disk.

import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { JournalError } from '../errors.js';
import { messageOf } from './accept.js';

const magic = 0x314a564e; // 'NVJ1'
const headerBytes = 20;
const magicBytes = Buffer.from('NVJ1', 'latin1');

/** A file only its owner may read. */
export const fileMode = 0o600;

function frame(payload: Buffer, synced: number): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes + payload.length);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt32LE(payload.length, 4);
  bytes.writeDoubleLE(synced, 8);
  bytes.writeUInt32LE(crc32(payload, crc32(bytes.subarray(4, 16))), 16);
  payload.copy(bytes, headerBytes);
  return bytes;
}

/** The frame at an offset, or undefined if there is no whole and sound one. */
function frameAt(bytes: Buffer, offset: number): { payload: Buffer; synced: number; end: number } | undefined {
  if (offset + headerBytes > bytes.length || bytes.readUInt32LE(offset) !== magic) return undefined;
  const length = bytes.readUInt32LE(offset + 4);
  const end = offset + headerBytes + length;
  if (end > bytes.length) return undefined;
  const payload = bytes.subarray(offset + headerBytes, end);
  const sum = crc32(payload, crc32(bytes.subarray(offset + 4, offset + 16)));
  if (sum !== bytes.readUInt32LE(offset + 16)) return undefined;
  return { payload, synced: bytes.readDoubleLE(offset + 8), end };
}

/** What reading a file gave. */
export interface Scan {
  /** Where the sound part ends. */
  readonly end: number;
  /** Bytes behind it. */
  readonly cut: number;
}

/** Calls back for every sound frame from the start of a file's bytes. Throws if what is damaged had been on disk for sure. */
export function scan(bytes: Buffer, path: string, repair: boolean, visit: (payload: Buffer) => void): Scan {
  let offset = 0;
  for (let found = frameAt(bytes, offset); found !== undefined; found = frameAt(bytes, offset)) {
    visit(found.payload);
    offset = found.end;
  }
  if (offset < bytes.length && !repair) {
    for (let at = bytes.indexOf(magicBytes, offset + 1); at >= 0; at = bytes.indexOf(magicBytes, at + 1)) {
      const later = frameAt(bytes, at);
      if (later === undefined || later.synced <= offset) continue;
      throw new JournalError(
        'ERR_SCHEDULER_JOURNAL_CORRUPT',
        `reading ${path}: byte ${offset} is damaged, and what follows shows that it was once whole; restore the file, or open with repair: true to lose what is behind it`,
        path,
      );
    }
  }
  return { end: offset, cut: bytes.length - offset };
}

/** An open file that grows. */
export class LogFile {
  readonly path: string;
  readonly #handle: FileHandle;
  #buffered: Buffer[] = [];
  #size: number;
  #synced: number;
  #flushing: Promise<void> | undefined;
  #failure: JournalError | undefined;
  syncs = 0;

  private constructor(path: string, handle: FileHandle, size: number) {
    this.path = path;
    this.#handle = handle;
    this.#size = size;
    this.#synced = size;
  }

  /** Opens a file, cutting off what is behind `size`. */
  static async open(path: string, size: number): Promise<LogFile> {
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT, fileMode);
    await handle.truncate(size);
    await handle.datasync();
    return new LogFile(path, handle, size);
  }

  get size(): number {
    return this.#size;
  }

  append(payload: string): void {
    const bytes = frame(Buffer.from(payload, 'utf8'), this.#synced);
    this.#buffered.push(bytes);
    this.#size += bytes.length;
  }

  /** Resolves when all that was appended is on disk (or, with `sync` false, with the operating system). */
  async flush(sync: boolean): Promise<void> {
    // Whoever comes while a write is under way joins the next one.
    while (this.#flushing !== undefined) await this.#flushing;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#buffered.length === 0 && (!sync || this.#synced === this.#size)) return;
    this.#flushing = this.#write(sync);
    try {
      await this.#flushing;
    } finally {
      this.#flushing = undefined;
    }
  }

  async #write(sync: boolean): Promise<void> {
    const buffers = this.#buffered;
    this.#buffered = [];
    const end = this.#size;
    let position = end;
    for (const bytes of buffers) position -= bytes.length;
    try {
      // writev takes 1,024 buffers at most.
      for (let i = 0; i < buffers.length; i += 1024) {
        const some = buffers.slice(i, i + 1024);
        const whole = some.length === 1 ? some[0]! : Buffer.concat(some);
        for (let sent = 0; sent < whole.length;) {
          const { bytesWritten } = await this.#handle.write(whole, sent, whole.length - sent, position);
          sent += bytesWritten;
          position += bytesWritten;
        }
      }
      if (sync) {
        await this.#handle.datasync();
        this.#synced = end;
        this.syncs += 1;
      }
    } catch (error) {
      // What is on disk is unknown now; going on would break the promise of every later commit.
      this.#failure = new JournalError(
        'ERR_SCHEDULER_JOURNAL_WRITE',
        `writing ${this.path}: ${messageOf(error)}; nothing more is committed until the scheduler is opened again`,
        this.path,
        { cause: error },
      );
      throw this.#failure;
    }
  }

  async close(): Promise<void> {
    try {
      await this.flush(true);
    } finally {
      await this.#handle.close();
    }
  }

  /** Closes without writing what is still gathered. */
  async abandon(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing.catch(() => undefined);
    await this.#handle.close();
  }
}
