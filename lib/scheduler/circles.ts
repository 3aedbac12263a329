// Strongly connected components (Tarjan), without recursion so that a chain of a million is as safe as a pair.
// Components come out with those first that lead nowhere else.

interface Mark {
  readonly order: number;
  low: number;
  onStack: boolean;
}

/** The components of the part of a graph that can be reached from `starts`. */
export function components<T>(starts: Iterable<T>, next: (vertex: T) => readonly T[]): T[][] {
  const marks = new Map<T, Mark>();
  const stack: T[] = [];
  const found: T[][] = [];
  const path: { vertex: T; mark: Mark; edges: readonly T[]; at: number }[] = [];
  const enter = (vertex: T): void => {
    const mark = { order: marks.size, low: marks.size, onStack: true };
    marks.set(vertex, mark);
    stack.push(vertex);
    path.push({ vertex, mark, edges: next(vertex), at: 0 });
  };
  for (const start of starts) {
    if (marks.has(start)) continue;
    enter(start);
    for (let frame = path.at(-1); frame !== undefined; frame = path.at(-1)) {
      if (frame.at < frame.edges.length) {
        const target = frame.edges[frame.at]!;
        frame.at += 1;
        const mark = marks.get(target);
        if (mark === undefined) enter(target);
        else if (mark.onStack) frame.mark.low = Math.min(frame.mark.low, mark.order);
        continue;
      }
      path.pop();
      const above = path.at(-1);
      if (above !== undefined) above.mark.low = Math.min(above.mark.low, frame.mark.low);
      if (frame.mark.low !== frame.mark.order) continue;
      const component: T[] = [];
      for (;;) {
        const member = stack.pop()!;
        marks.get(member)!.onStack = false;
        component.push(member);
        if (member === frame.vertex) break;
      }
      found.push(component.reverse());
    }
  }
  return found;
}
