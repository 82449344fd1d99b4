/**
 * What the house rules need to know of a source file, read off its syntax tree, so that comments and strings are none.
 *
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, relative, sep } from 'node:path';
import ts from 'typescript';

/** Path inside src/, with forward slashes → text. */
export type Sources = ReadonlyMap<string, string>;

/** Every TypeScript file of src/ except the kernels in AssemblyScript, which is another language. */
export function readSources(root: string): Sources {
  const files = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => !path.startsWith('numeric/wasm/assembly/'))
    .sort();
  return new Map(files.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
}

export interface Imports {
  /** TypeScript inside src/: what a bundler makes of styles and data is its own affair. */
  readonly files: readonly string[];
  /** `node:fs`, `ws`, `@scope/name`: what comes from elsewhere, without a path inside a package. */
  readonly packages: readonly string[];
}

/** Everything a file imports or re-exports, types and dynamic imports included. */
export function importsOf(path: string, text: string): Imports {
  const names = ts.preProcessFile(text, true, true).importedFiles.map((f) => f.fileName);
  return {
    files: names.filter((n) => /^\..*\.tsx?$/.test(n)).map((n) => posix.join(posix.dirname(path), n)),
    packages: names
      .filter((n) => !n.startsWith('.'))
      .map((n) => (n.startsWith('node:') ? n : n.split('/', n.startsWith('@') ? 2 : 1).join('/'))),
  };
}

/**
 * Uses of globals as `Math.random` (a member), `new Date` (a construction) and `setTimeout()` (a call by name), each
 * with its line.
 */
export function globalsOf(path: string, text: string): readonly { readonly name: string; readonly line: number }[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
  const found: { name: string; line: number }[] = [];
  const visit = (node: ts.Node): void => {
    const name =
      ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)
        ? `${node.expression.text}.${node.name.text}`
        : ts.isNewExpression(node) && ts.isIdentifier(node.expression)
          ? `new ${node.expression.text}`
          : ts.isCallExpression(node) && ts.isIdentifier(node.expression)
            ? `${node.expression.text}()`
            : undefined;
    if (name) found.push({ name, line: file.getLineAndCharacterOfPosition(node.getStart()).line + 1 });
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}
