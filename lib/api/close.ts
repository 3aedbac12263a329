// Leaving VPP in good order. A client that just closes can leave VPP's main thread spinning at 100 % and a descriptor
// leaked (on end of file VPP looks at a stale errno), so that every link leaves by
//
//   sockclnt_delete -> reply with response 1 -> end of file -> close
//
// also when the process exits: links that are still open then are closed by an exit hook, without the event loop.
// Only a process that is killed outright cannot do it.

import type { Link } from './link.js';

const EXIT_WAIT_MS = 250;
const open = new Set<Link>();

function closeAll(): void {
  for (const link of open) link.closeSync(EXIT_WAIT_MS);
}

/** Has the link closed when the process exits. */
export function closeOnExit(link: Link): void {
  if (open.size === 0) process.on('exit', closeAll);
  open.add(link);
}

/** The link is gone. */
export function forgetOnExit(link: Link): void {
  if (open.delete(link) && open.size === 0) process.off('exit', closeAll);
}
