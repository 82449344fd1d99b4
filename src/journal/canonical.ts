/**
 * Canonical JSON: RFC 8785 (JCS). One value, one text, so that its hash is a name. ECMAScript already writes numbers
 * and strings as the RFC asks (its 3.2.2 refers to it); left to do are the order of keys and the refusals.
 *
 * @module
 */

/** @throws {TypeError} for what JSON has no words for: undefined, functions, NaN, infinities, lone surrogates */
export function canonicalJson(value: unknown, path = 'value'): string {
  if (value === null || typeof value === 'boolean') return JSON.stringify(value);
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value);
  if (typeof value === 'string' && !/\p{Cs}/u.test(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item, i) => canonicalJson(item, `${path}[${i}]`)).join(',')}]`;
  if (typeof value === 'object') {
    // 3.2.3: by UTF-16 code units, which is how ECMAScript compares strings
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    const members = entries.map(
      ([key, item]) => `${canonicalJson(key, path)}:${canonicalJson(item, `${path}.${key}`)}`,
    );
    return `{${members.join(',')}}`;
  }
  throw new TypeError(
    `"${path}" expected a JSON value, got ${typeof value === 'string' ? 'a lone surrogate' : String(value)}`,
  );
}
