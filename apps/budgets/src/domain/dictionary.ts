/**
 * An immutable map by text, as plain data: a version never changes, a new one shares what it can with the old, and a snapshot
 * can store it. A trie over the key's hash (Bagwell, *Ideal Hash Trees*, 2001): a change copies about a hundred pointers,
 * whether there are ten entries or fifty thousand.
 */
export interface Dictionary<Value> {
  readonly size: number;
  readonly root: Node<Value>;
}

type Entry<Value> = readonly [key: string, value: Value];
type Node<Value> = Leaf<Value> | Branch<Value>;
interface Leaf<Value> {
  readonly entries: readonly Entry<Value>[];
}
interface Branch<Value> {
  readonly children: readonly Node<Value>[];
}

const LEAF_ENTRIES_MAX = 16;
const BITS = 5;
const MASK = (1 << BITS) - 1;
/** Below this depth the hash is used up; leaves then grow, which takes keys with equal hashes. */
const DEPTH_MAX = 6;
const EMPTY_LEAF: Leaf<never> = { entries: [] };

export function dictionary<Value>(entries: Iterable<Entry<Value>> = []): Dictionary<Value> {
  let made: Dictionary<Value> = { size: 0, root: EMPTY_LEAF };
  for (const [key, value] of entries) made = put(made, key, value);
  return made;
}

export function get<Value>({ root }: Dictionary<Value>, key: string): Value | undefined {
  let node = root;
  if ('children' in node) {
    for (let hash = hashOf(key); 'children' in node; hash >>>= BITS) node = childOf(node, hash);
  }
  for (const entry of node.entries) if (entry[0] === key) return entry[1];
  return undefined;
}

export function put<Value>(map: Dictionary<Value>, key: string, value: Value): Dictionary<Value> {
  const isKnown = get(map, key) !== undefined;
  return { size: isKnown ? map.size : map.size + 1, root: putInto(map.root, key, value, hashOf(key), 0) };
}

export function remove<Value>(map: Dictionary<Value>, key: string): Dictionary<Value> {
  if (get(map, key) === undefined) return map;
  return { size: map.size - 1, root: removeFrom(map.root, key, hashOf(key)) };
}

export function entriesOf<Value>({ root }: Dictionary<Value>): Entry<Value>[] {
  const found: Entry<Value>[] = [];
  collect(root, found);
  return found;
}

function collect<Value>(node: Node<Value>, found: Entry<Value>[]): void {
  if ('children' in node) for (const child of node.children) collect(child, found);
  else for (const entry of node.entries) found.push(entry);
}

function putInto<Value>(node: Node<Value>, key: string, value: Value, hash: number, depth: number): Node<Value> {
  if ('children' in node) {
    return withChild(node, hash, putInto(childOf(node, hash), key, value, hash >>> BITS, depth + 1));
  }
  const entries = node.entries.slice();
  const at = entries.findIndex((entry) => entry[0] === key);
  if (at >= 0) entries[at] = [key, value];
  else entries.push([key, value]);
  return entries.length > LEAF_ENTRIES_MAX && depth <= DEPTH_MAX ? split(entries, depth) : { entries };
}

function split<Value>(entries: readonly Entry<Value>[], depth: number): Node<Value> {
  let branch: Node<Value> = { children: Array.from({ length: MASK + 1 }, () => EMPTY_LEAF) };
  for (const [key, value] of entries) {
    branch = putInto(branch, key, value, hashOf(key) >>> (BITS * depth), depth);
  }
  return branch;
}

function removeFrom<Value>(node: Node<Value>, key: string, hash: number): Node<Value> {
  if ('children' in node) return withChild(node, hash, removeFrom(childOf(node, hash), key, hash >>> BITS));
  return { entries: node.entries.filter((entry) => entry[0] !== key) };
}

function childOf<Value>({ children }: Branch<Value>, hash: number): Node<Value> {
  return children[hash & MASK] ?? EMPTY_LEAF;
}

function withChild<Value>({ children }: Branch<Value>, hash: number, child: Node<Value>): Branch<Value> {
  const copied = children.slice();
  copied[hash & MASK] = child;
  return { children: copied };
}

/** FNV-1a, with a last stir, since the trie looks at the low bits first. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
