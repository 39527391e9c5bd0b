// What the unit tests say a failure with.

export function equal(got, wanted) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`wanted ${b}\n   got ${a}`);
}

export function ok(condition, what) {
  if (!condition) throw new Error(what);
}
