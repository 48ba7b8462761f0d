import type { ModelAlias } from './price-book-offer.js';
import type { PriceBook, PricedModel } from './price-book.js';

/** Patterns that one provider's models may have together: an unknown name is held against each of them. */
export const PATTERNS_MAX = 1_000;

interface Provider {
  readonly aliases: Map<string, PricedModel[]>;
  readonly patterns: { readonly pattern: ModelAlias; readonly model: PricedModel }[];
}

const indexes = new WeakMap<PriceBook, ReadonlyMap<string, Provider>>();

/** Names are the same in capitals or not. */
export const keyOf = (model: string) => model.toLowerCase();

/**
 * The models that a name may mean, the likeliest first: its own id, then exact other names, then patterns; an operator's before
 * the catalogue's, each in the order in which they came into the book.
 */
export function* modelsNamed(book: PriceBook, model: string): Generator<PricedModel> {
  const key = keyOf(model);
  const own = book.models.get(key);
  if (own) yield own;
  const slash = key.indexOf('/');
  const provider = indexOf(book).get(key.slice(0, slash));
  if (!provider) return;
  const name = key.slice(slash + 1);
  yield* provider.aliases.get(name) ?? [];
  for (const { pattern, model: candidate } of provider.patterns) if (fits(pattern, name)) yield candidate;
}

/** How many patterns the provider has that has most. */
export function mostPatterns(book: PriceBook): number {
  let most = 0;
  for (const { patterns } of indexOf(book).values()) most = Math.max(most, patterns.length);
  return most;
}

function indexOf(book: PriceBook): ReadonlyMap<string, Provider> {
  const known = indexes.get(book);
  if (known) return known;
  const providers = new Map<string, Provider>();
  for (const source of ['operator', 'catalogue'] as const) {
    for (const [key, model] of book.models) {
      // What an operator names takes the place of what the catalogue names.
      if (source === 'catalogue' && model.operator?.aliases) continue;
      const providerId = key.slice(0, key.indexOf('/'));
      let provider = providers.get(providerId);
      if (!provider) providers.set(providerId, (provider = { aliases: new Map(), patterns: [] }));
      for (const alias of model[source]?.aliases ?? []) {
        if ('equals' in alias) {
          const name = keyOf(alias.equals);
          provider.aliases.set(name, [...(provider.aliases.get(name) ?? []), model]);
        } else provider.patterns.push({ pattern: inLowerCase(alias), model });
      }
    }
  }
  indexes.set(book, providers);
  return providers;
}

function inLowerCase(alias: ModelAlias): ModelAlias {
  return Object.fromEntries(Object.entries(alias).map(([kind, text]) => [kind, keyOf(text ?? '')])) as ModelAlias;
}

/** Whether a name fits a pattern, both in lower case. */
function fits(pattern: ModelAlias, name: string): boolean {
  if ('equals' in pattern) return name === pattern.equals;
  if ('dated' in pattern) return name.startsWith(pattern.dated) && isDate(name.slice(pattern.dated.length));
  if ('startsWith' in pattern) {
    return name.startsWith(pattern.startsWith) && !(pattern.without && name.includes(pattern.without));
  }
  if ('endsWith' in pattern) return name.endsWith(pattern.endsWith);
  return name.includes(pattern.contains);
}

const isDate = (text: string) => /^-\d{4}(?:\d{4}|-\d{2}-\d{2})$/.test(text);
