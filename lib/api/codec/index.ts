// The codec: fields to bytes and back. See codec.ts.

export { createCodec, type CodecOptions, type MessageCodec } from './codec.js';
export { codeGenerationAllowed } from './generate.js';
export { Row } from './row.js';
