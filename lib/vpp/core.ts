// What every feature stands on: one place that sends, chooses versions of messages, and turns what went wrong into an
// error that names the object.
//
//   vpp.bridges.create(…) ─► core.request('bridge_domain_add_del_v2', fields, 'bridge domain 7', 'create it')
//                                 VppApiError      ─► VppObjectError   bridge domain 7: cannot create it: VPP says …
//                                 message missing  ─► VppFeatureError  … the plugin nat_plugin.so is not loaded
//                                 anything else    ─► as it is (no connection, no reply in time, wrong fields)
//
// Versions: `newest('a_v3', 'a_v2')` is the newest that the VPP at the other end has, and this code can fill in. It is
// asked again for every call, so that a VPP of another release behind the same socket is spoken to as it should be.

import type { Connection, DumpOptions, DumpStream, NewestApi, Pool, RequestOptions } from '../api/index.js';
import type { Arguments, DumpFields } from '../api/client.js';
import type { DetailsOf, DumpName, FieldsOf, ReplyOf, RequestName } from '../api/schema/api-types.js';
import { retvalName } from '../api/schema/retval.js';
import { VppApiError, VppFeatureError, VppMessageError, VppObjectError } from '../errors.js';
import { pluginOf } from './plugins.js';

/** Names of requests with one answer. */
export type Request = RequestName<NewestApi>;
/** Names of requests for rows. */
export type Dump = DumpName<NewestApi>;
/** Fields of a request. */
export type Fields<N extends Request> = FieldsOf<NewestApi, N>;
/** One row of a dump. */
export type RowOf<N extends Dump> = DetailsOf<NewestApi, N>;

/** `sw_if_index` that means "none" or "all". */
export const NO_INDEX = 0xffffffff;

const INVALID_SW_IF_INDEX = -2;

/** See above. */
export class Core {
  /** Requests, dumps and events go here; with a pool, over all its connections. */
  readonly client: Connection | Pool;
  /** One connection, for what is about the VPP and not about a message. */
  readonly connection: Connection;

  constructor(client: Connection | Pool) {
    this.client = client;
    this.connection = 'connections' in client ? client.connections[0]! : client;
  }

  /** Whether this VPP has a message of that name. */
  has(message: string): boolean {
    return this.connection.idOf(message) !== undefined;
  }

  /** The first of these messages that this VPP has; names go from the newest to the oldest. */
  newest<N extends string>(...names: readonly N[]): N {
    const found = names.find((name) => this.has(name));
    if (found === undefined) throw missing(names);
    return found;
  }

  async request<N extends Request>(
    name: N,
    fields: Fields<N>,
    object: string,
    doing: string,
    options?: RequestOptions,
  ): Promise<ReplyOf<NewestApi, N>> {
    try {
      return await this.client.request(name, ...([fields, options] as unknown as Arguments<Fields<N>, RequestOptions>));
    } catch (error) {
      throw failure(error, object, doing);
    }
  }

  /** Rows of a dump, all of them. */
  async rows<N extends Dump>(
    name: N,
    fields: DumpFields<FieldsOf<NewestApi, N>>,
    object: string,
    options?: DumpOptions,
  ): Promise<RowOf<N>[]> {
    try {
      return await this.stream(name, fields, options).toArray();
    } catch (error) {
      throw failure(error, object, 'list');
    }
  }

  /** Rows of a dump, as they come. */
  stream<N extends Dump>(
    name: N,
    fields: DumpFields<FieldsOf<NewestApi, N>>,
    options?: DumpOptions,
  ): DumpStream<RowOf<N>> {
    const args = [fields, options] as unknown as Arguments<DumpFields<FieldsOf<NewestApi, N>>, DumpOptions>;
    return this.client.dump(name, ...args);
  }
}

function missing(names: readonly string[], cause?: unknown): VppFeatureError {
  const plugin = pluginOf(names[0]!);
  const why =
    plugin === undefined
      ? 'it is of a release that does not have this, or not yet'
      : `the plugin ${plugin} is not loaded, or of a release that does not have this; load it with ` +
        `"plugins { plugin ${plugin} { enable } }" in VPP's start-up configuration`;
  return new VppFeatureError(`this VPP has no message ${names.join(' or ')}: ${why}`, {
    messages: names,
    plugin,
    cause,
  });
}

/** What VPP said, in words. */
export function said(error: VppApiError): string {
  const text = retvalName(error.retval)?.text;
  return `VPP says ${error.errorName} (${error.retval}${text === undefined ? '' : `, ${text}`})`;
}

/** What went wrong, with the object's name. */
export function failure(error: unknown, object: string, doing: string): unknown {
  if (error instanceof VppMessageError && error.code === 'ERR_VPP_MESSAGE_MISSING') {
    return missing([error.messageName], error);
  }
  if (!(error instanceof VppApiError)) return error;
  return new VppObjectError('ERR_VPP_OBJECT_REFUSED', object, `cannot ${doing}: ${said(error)}`, { cause: error });
}

/** The same refusal, with what VPP means by this number in this place. */
export function explained(error: unknown, retval: number, why: string): unknown {
  if (!(error instanceof VppObjectError) || error.retval !== retval) return error;
  const problem = `${error.message.slice(error.object.length + 2)}, ${why}`;
  return new VppObjectError('ERR_VPP_OBJECT_REFUSED', error.object, problem, { cause: error.cause });
}

/** Whether VPP refused because there is no interface of that index. */
export function saysNoInterface(error: unknown): boolean {
  return error instanceof VppObjectError && error.retval === INVALID_SW_IF_INDEX;
}
