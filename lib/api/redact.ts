// Keys, passwords and secrets never leave the process in an error, a trace or a diagnostic. Which fields those are is
// decided by name and kind of value, after the names in VPP's messages:
//
//   secret, secret_key, secret_share, private_key, preshared_key, crypto_key, integrity_key, certkey, psk, password
//   key           when it is bytes, text or a structure (BFD, HMAC); a number is a GRE or LACP key
//   keys          when it is a structure (IKEv2: sk_…); a list is session tuples
//   auth, data    of an IKEv2 profile, where auth_method stands beside
//
// Lengths, ids and public keys are not secret.

const ALWAYS = /^(secret|secret_key|secret_share|private_key|preshared_key|psk|crypto_key|integ(rity)?_key|certkey)$/;
const ALSO = /(^|_)(password|passwd|passphrase|token)$|^sk_/;

/** Names a secret may have; a message without any of them need not be looked at. */
export function mayBeSecret(name: string): boolean {
  return (
    ALWAYS.test(name) || ALSO.test(name) || name === 'key' || name === 'keys' || name === 'auth' || name === 'data'
  );
}

function isSecret(name: string, value: unknown, siblings: Readonly<Record<string, unknown>>): boolean {
  if (typeof value === 'boolean' || value === undefined) return false;
  if (ALWAYS.test(name) || ALSO.test(name)) return true;
  if (name === 'key') return typeof value === 'string' ? value !== '' : typeof value === 'object';
  if (name === 'keys') return typeof value === 'object' && !Array.isArray(value);
  if (name === 'auth') return typeof value === 'object';
  return name === 'data' && ('auth_method' in siblings || 'is_hex' in siblings);
}

/** A copy of field values without the secrets in them. */
export function redact(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit);
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
    return redact(value as Record<string, unknown>);
  };
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, isSecret(name, value, fields) ? '(secret)' : visit(value)]),
  );
}

/** The same values with every secret zeroed but of the same shape, so that the message can still be encoded. */
export function blank(fields: Readonly<Record<string, unknown>>): { fields: Record<string, unknown>; found: boolean } {
  let found = false;
  const zero = (value: unknown): unknown => {
    if (value instanceof Uint8Array) return new Uint8Array(value.length);
    if (Array.isArray(value)) return value.map(zero);
    if (typeof value === 'object' && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, zero(inner)]));
    }
    if (typeof value === 'string') return '';
    if (typeof value === 'boolean') return value;
    return typeof value === 'bigint' ? 0n : 0;
  };
  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit);
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
    const siblings = value as Record<string, unknown>;
    return Object.fromEntries(
      Object.entries(siblings).map(([name, inner]) => {
        if (!isSecret(name, inner, siblings)) return [name, visit(inner)];
        found = true;
        return [name, zero(inner)];
      }),
    );
  };
  const copy = visit(fields) as Record<string, unknown>;
  return { fields: copy, found };
}
