// Long lists.

/** Appends a list to another. (Not `push(...list)`: a million arguments do not fit on the stack.) */
export function addAll<T>(into: T[], list: Iterable<T>): void {
  for (const item of list) into.push(item);
}
