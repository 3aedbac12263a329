// Every error class of node-vpp and its stable code. A code never changes meaning; texts may be improved.
//
// The text of an error says what was being done, what was seen and, where known, what to do. `docs/troubleshooting.md`
// has one entry per code, and a test compares the two.

/** The root of all errors that node-vpp makes itself: anything with a stable `code`. */
export class NodeVppError extends Error {
  /** Stable machine-readable name, e.g. `ERR_MEMIF_SECRET`. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A programmer's mistake: an argument of the wrong type. */
export class ArgumentTypeError extends TypeError {
  readonly code = 'ERR_VPP_ARGUMENT_TYPE';
  override readonly name = 'ArgumentTypeError';
}

/** A programmer's mistake: an argument of the right type outside its range. */
export class ArgumentRangeError extends RangeError {
  readonly code = 'ERR_VPP_ARGUMENT_RANGE';
  override readonly name = 'ArgumentRangeError';
}

/** The native addon is missing or does not fit this Node or this package. */
export class NativeError extends NodeVppError {}

/** A system call failed: keeps the kernel's name and number of the error. */
export class SystemError extends NodeVppError {
  /** Positive errno, e.g. 13. */
  readonly errno: number;
  /** The system call, e.g. `bind`. */
  readonly syscall: string;
  /** The file or socket it was about, when there is one. */
  readonly path: string | undefined;

  constructor(message: string, details: { errno: number; syscall: string; path?: string; code?: string }) {
    super(details.code ?? 'ERR_VPP_SYSTEM', message);
    this.errno = details.errno;
    this.syscall = details.syscall;
    this.path = details.path;
  }
}

/** Text that is not the address, prefix or frame it should be. */
export class NetError extends NodeVppError {}

/** A package that only some parts need (an optional dependency) is not installed. */
export class DependencyError extends NodeVppError {
  constructor(neededBy: string, packageName: string, options?: ErrorOptions) {
    super(
      'ERR_VPP_DEPENDENCY',
      `${neededBy} needs the package ${packageName}, which is not installed (it is an optional dependency); ` +
        `run: npm install ${packageName}`,
      options,
    );
  }
}

/** Why a memif interface could not do something: the last part of the code, after `ERR_MEMIF_`. */
export type MemifReason =
  | 'ADDRESS'
  | 'BACKLOG'
  | 'BUSY'
  | 'CLOSED'
  | 'DESCRIPTOR'
  | 'ID'
  | 'INDEX'
  | 'IN_USE'
  | 'MEMORY'
  | 'MODE'
  | 'PACKET_TOO_LONG'
  | 'PEER_CLOSED'
  | 'PEER_REFUSED'
  | 'PROTOCOL'
  | 'REGION'
  | 'RING'
  | 'SECRET'
  | 'SYSTEM'
  | 'TIMEOUT'
  | 'VERSION';

/** A memif interface could not be opened, lost its peer, or was used in a way it cannot follow. */
export class MemifError extends NodeVppError {
  /** The code without its prefix. */
  readonly reason: MemifReason;
  /** Positive errno when a system call failed. */
  readonly errno: number | undefined;
  /** Its name, e.g. `EADDRINUSE`. */
  readonly errnoName: string | undefined;
  readonly syscall: string | undefined;
  readonly path: string | undefined;

  constructor(
    reason: MemifReason,
    message: string,
    details: {
      errno?: number | undefined;
      errnoName?: string | undefined;
      syscall?: string | undefined;
      path?: string | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(`ERR_MEMIF_${reason}`, message, details.cause === undefined ? undefined : { cause: details.cause });
    this.reason = reason;
    this.errno = details.errno;
    this.errnoName = details.errnoName;
    this.syscall = details.syscall;
    this.path = details.path;
  }
}

/** Why something about a stats segment could not be done: the last part of the code, after `ERR_STATS_`. */
export type StatsReason =
  | 'ADDRESS'
  | 'BUSY'
  | 'CLOSED'
  | 'CORRUPT'
  | 'DISCONNECTED'
  | 'LOST'
  | 'MISSING'
  | 'NAME'
  | 'PATTERN'
  | 'PROTOCOL'
  | 'SEGMENT'
  | 'SPACE'
  | 'SYSTEM'
  | 'TIMEOUT'
  | 'VERSION';

/** A stats segment could not be got, read or written. */
export class StatsError extends NodeVppError {
  /** The code without its prefix. */
  readonly reason: StatsReason;
  /** Positive errno when a system call failed. */
  readonly errno: number | undefined;
  /** Its name, e.g. `ECONNREFUSED`. */
  readonly errnoName: string | undefined;
  readonly syscall: string | undefined;
  /** The socket, when it is about one. */
  readonly path: string | undefined;

  constructor(
    reason: StatsReason,
    message: string,
    details: {
      errno?: number | undefined;
      errnoName?: string | undefined;
      syscall?: string | undefined;
      path?: string | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(`ERR_STATS_${reason}`, message, details.cause === undefined ? undefined : { cause: details.cause });
    this.reason = reason;
    this.errno = details.errno;
    this.errnoName = details.errnoName;
    this.syscall = details.syscall;
    this.path = details.path;
  }
}

/** A program that was asked for is not installed, or ended before it should. */
export class ProgramError extends NodeVppError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_VPP_PROGRAM', message, options);
  }
}

/** An api schema that cannot be read, or that says something impossible. */
export class VppSchemaError extends NodeVppError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_VPP_SCHEMA', message, options);
  }
}

/** Fields that do not fit the message they were given for: nothing has been sent. */
export class VppEncodeError extends NodeVppError {
  /** The message, e.g. `ip_route_add_del_v2`. */
  readonly messageName: string;
  /** The field inside it, e.g. `route.paths[0].weight`; empty when the message as a whole is meant. */
  readonly field: string;

  constructor(messageName: string, field: string, problem: string, options?: ErrorOptions) {
    super('ERR_VPP_ENCODE', `cannot encode ${messageName}${field === '' ? '' : `.${field}`}: ${problem}`, options);
    this.messageName = messageName;
    this.field = field;
  }
}

/** A received message that is shorter than it says, or not what the schema says. */
export class VppDecodeError extends NodeVppError {
  /** The message, e.g. `sw_interface_details`. */
  readonly messageName: string;
  /** The field at which the bytes ran out; empty when the fixed part is incomplete. */
  readonly field: string;

  constructor(messageName: string, field: string, problem: string, options?: ErrorOptions) {
    super('ERR_VPP_DECODE', `cannot decode ${messageName}${field === '' ? '' : `.${field}`}: ${problem}`, options);
    this.messageName = messageName;
    this.field = field;
  }
}

/**
 * There is no working connection to VPP's binary API. Codes: `ERR_VPP_CONNECT` (could not be made),
 * `ERR_VPP_NOT_CONNECTED` (asked while there was none), `ERR_VPP_DISCONNECTED` (lost under way),
 * `ERR_VPP_UNRESPONSIVE` (half-open: VPP stopped answering), `ERR_VPP_SOCKET_REPLACED` (the path belongs to another
 * VPP now), `ERR_VPP_CLOSED` (closed by this program), `ERR_VPP_QUEUE_FULL` (more requests waiting than `maxQueued`),
 * `ERR_VPP_SYNC` (`requestSync` where it cannot block). Shared memory cannot be used: `ERR_VPP_SHM_LIBRARY` (VPP's client
 * library is missing or is not one), `ERR_VPP_SHM_VERSION` (it belongs to another VPP), `ERR_VPP_SHM_SEGMENT` (no API segment
 * of that prefix, or that of another VPP), `ERR_VPP_SHM_PERMISSION`, `ERR_VPP_SHM_ADDRESS` (its addresses are taken in this
 * process), `ERR_VPP_SHM_IN_USE` (the process has its one connection), `ERR_VPP_SHM_CONNECT` (VPP did not answer there).
 */
export class VppConnectionError extends NodeVppError {}

/**
 * The other side broke the rules of the protocol. Codes: `ERR_VPP_FRAME_TOO_LARGE` (framing lost, connection closed),
 * `ERR_VPP_HANDSHAKE`, `ERR_VPP_REPLY_MALFORMED` (a message that does not fit its schema), `ERR_VPP_REPLY_UNEXPECTED`
 * (the right context on the wrong message), `ERR_VPP_OVERFLOW` (more rows or events waiting than allowed),
 * `ERR_VPP_TRACE_FORMAT`.
 */
export class VppProtocolError extends NodeVppError {}

/** VPP carried the request out, or tried, and answered with a negative retval. Code `ERR_VPP_API`. */
export class VppApiError extends NodeVppError {
  /** The number VPP answered, e.g. -68. */
  readonly retval: number;
  /** Its symbolic name, e.g. `INVALID_VALUE`; `UNKNOWN` for a number this release of node-vpp has no name for. */
  readonly errorName: string;
  /** The request. */
  readonly messageName: string;
  /** What was asked, with secrets replaced. */
  readonly fields: Readonly<Record<string, unknown>>;

  constructor(
    message: string,
    details: { retval: number; errorName: string; messageName: string; fields: Readonly<Record<string, unknown>> },
  ) {
    super('ERR_VPP_API', message);
    this.retval = details.retval;
    this.errorName = details.errorName;
    this.messageName = details.messageName;
    this.fields = details.fields;
  }
}

/** No reply within `timeoutMs`. Code `ERR_VPP_TIMEOUT`. */
export class VppTimeoutError extends NodeVppError {
  readonly messageName: string;
  readonly timeoutMs: number;
  /**
   * `ignored`: VPP answered a control_ping sent after the request, so it has dropped the request (or answers it from
   * elsewhere, later); `slow`: VPP answered nothing at all meanwhile; `unsent`: the request was still waiting for room
   * in the window and VPP has not seen it.
   */
  readonly reason: 'ignored' | 'slow' | 'unsent';

  constructor(
    message: string,
    details: { messageName: string; timeoutMs: number; reason: 'ignored' | 'slow' | 'unsent' },
  ) {
    super('ERR_VPP_TIMEOUT', message);
    this.messageName = details.messageName;
    this.timeoutMs = details.timeoutMs;
    this.reason = details.reason;
  }
}

/**
 * This VPP does not have the message, or has another version of it. Codes: `ERR_VPP_MESSAGE_MISSING`,
 * `ERR_VPP_MESSAGE_DIFFERS`.
 */
export class VppMessageError extends NodeVppError {
  readonly messageName: string;
  /** One line per difference between the definition in use and VPP's own; empty when VPP does not have the message. */
  readonly differences: readonly string[];
  /** Bundled releases whose definition is the one this VPP has. */
  readonly releases: readonly string[];

  constructor(
    code: 'ERR_VPP_MESSAGE_MISSING' | 'ERR_VPP_MESSAGE_DIFFERS',
    message: string,
    details: { messageName: string; differences?: readonly string[]; releases?: readonly string[] },
  ) {
    super(code, message);
    this.messageName = details.messageName;
    this.differences = details.differences ?? [];
    this.releases = details.releases ?? [];
  }
}

/**
 * The scheduler could not do what was asked: a value, plan or transaction is at fault (`ERR_SCHEDULER_…`). Messages never
 * contain a value that its schema calls secret.
 */
export class SchedulerError extends NodeVppError {
  /** The key it is about, when there is one. */
  readonly key: string | undefined;

  constructor(code: string, message: string, options?: ErrorOptions & { key?: string }) {
    super(code, message, options);
    this.key = options?.key;
  }
}

/** A set of descriptors, or one descriptor's answer, breaks the contract (`ERR_SCHEDULER_DESCRIPTOR…`). */
export class DescriptorError extends SchedulerError {}

/** The scheduler's journal cannot be read or written (`ERR_SCHEDULER_JOURNAL…`). */
export class JournalError extends SchedulerError {
  /** The file it is about. */
  readonly path: string;

  constructor(code: string, message: string, path: string, options?: ErrorOptions) {
    super(code, message, options);
    this.path = path;
  }
}

/**
 * Something about an object in VPP (an interface, a route, an ACL, …) could not be done. Codes: `ERR_VPP_OBJECT_REFUSED`
 * (VPP said no: `retval`, `errorName`), `ERR_VPP_OBJECT_MISSING` (there is no such object), `ERR_VPP_OBJECT_GONE` (there
 * was one, and it is gone), `ERR_VPP_OBJECT_DIFFERS` (`ensure…` found one that cannot be changed into what was asked
 * for), `ERR_VPP_OBJECT_AMBIGUOUS` (several objects fit), `ERR_VPP_OBJECT_UNSAFE` (known to crash VPP: not sent).
 */
export class VppObjectError extends NodeVppError {
  /** The object, e.g. `interface loop0`. */
  readonly object: string;
  /** What VPP answered, when it did. */
  readonly retval: number | undefined;
  /** Its symbolic name, e.g. `INVALID_VALUE`. */
  readonly errorName: string | undefined;

  constructor(code: string, object: string, problem: string, options: ErrorOptions = {}) {
    super(code, `${object}: ${problem}`, options);
    this.object = object;
    const said = options.cause instanceof VppApiError ? options.cause : undefined;
    this.retval = said?.retval;
    this.errorName = said?.errorName;
  }
}

/** The running VPP cannot do what was asked, because a plugin is not loaded or too old. Code `ERR_VPP_FEATURE_MISSING`. */
export class VppFeatureError extends NodeVppError {
  /** The messages looked for, newest first. */
  readonly messages: readonly string[];
  /** The plugin's file, e.g. `nat_plugin.so`; undefined when the messages belong to VPP's core. */
  readonly plugin: string | undefined;

  constructor(message: string, details: { messages: readonly string[]; plugin: string | undefined; cause?: unknown }) {
    super('ERR_VPP_FEATURE_MISSING', message, { cause: details.cause });
    this.messages = details.messages;
    this.plugin = details.plugin;
  }
}

/** Text that is not the ACL rule, path or file of configuration it should be. Codes `ERR_VPP_RULE`, `ERR_VPP_CONFIG`. */
export class VppTextError extends NodeVppError {}
