// Reads a CSV file whose first line names the columns, as the command line does (docs/command-line.md): UTF-8, commas,
// quotes where a field holds one, lines that end in LF or CRLF. A line that cannot be read does not stop the others.
import type { Reason } from './plan';

/** What separates several names within a field. */
const SEPARATOR = ';';
/** Largest file, in bytes, and most lines of one: a hundred thousand desktops with their users. More is refused, not half read. */
const MOST_BYTES = 10_000_000;
const MOST_LINES = 100_000;

/** A file that is not read at all, and why. */
export class Unreadable extends Error {
  constructor(readonly reason: Reason) {
    super('key' in reason ? reason.key : reason.text);
  }
}

/** A line below the header. */
export class Line {
  constructor(
    /** Its number in the file, from 1; the header is line 1. */
    readonly number: number,
    private readonly fields: ReadonlyMap<string, string>,
    /** Why it cannot be read. */
    readonly wrong?: Reason,
  ) {}

  /** A field; undefined when it is empty or the file has no such column. */
  get(column: string): string | undefined {
    const text = this.fields.get(column);
    return text === '' ? undefined : text;
  }

  /** The names in a field. */
  names(column: string): string[] {
    return (this.get(column) ?? '')
      .split(SEPARATOR)
      .map((name) => name.trim())
      .filter((name) => name !== '');
  }
}

/** Reads a file. Fails with {@link Unreadable} when its header is not made of `columns`, the first of which must be there. */
export async function readFile(file: Blob, columns: readonly string[]): Promise<Line[]> {
  if (file.size > MOST_BYTES) throw new Unreadable({ key: 'import.too-big', values: { n: MOST_BYTES / 1_000_000 } });
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Unreadable({ key: 'import.not-utf8' });
  }
  return read(text, columns);
}

/** Reads the text of a file, without a byte order mark. */
export async function read(written: string, columns: readonly string[]): Promise<Line[]> {
  // Loaded when a file is: nobody else has to wait for it.
  const { default: Papa } = await import('papaparse');
  // One kind of line end, so that a file that has both is read right and lines are counted by it.
  const text = written.replace(/\r\n?/g, '\n');
  let header: string[] | undefined;
  const lines: Line[] = [];
  let number = 1;
  let from = 0;
  let failure: Unreadable | undefined;
  Papa.parse<string[]>(text, {
    delimiter: ',',
    newline: '\n',
    step: ({ data, errors, meta }, parser) => {
      const begins = number;
      const raw = text.slice(from, meta.cursor);
      number += raw.split('\n').length - 1;
      from = meta.cursor;
      if (raw.trim() === '') return;
      const fields = data.map((field) => field.trim());
      if (header === undefined) {
        try {
          header = headerOf(fields, columns);
        } catch (error) {
          failure = error as Unreadable;
          parser.abort();
        }
        return;
      }
      if (lines.length === MOST_LINES) {
        failure = new Unreadable({ key: 'import.too-many-lines', values: { n: MOST_LINES } });
        parser.abort();
        return;
      }
      const named = new Map(header.map((column, at) => [column, fields[at] ?? '']));
      const ends = begins + raw.trimEnd().split('\n').length - 1;
      lines.push(new Line(begins, named, errors.length > 0 ? { key: 'import.bad-quotes', values: { n: ends } } : wrongOf(fields.length, header.length)));
    },
  });
  if (failure !== undefined) throw failure;
  if (header === undefined) throw new Unreadable({ key: 'import.no-header', values: { column: columns[0] ?? '' } });
  return lines;
}

function wrongOf(has: number, wants: number): Reason | undefined {
  return has === wants ? undefined : { key: 'import.fields', values: { has, wants } };
}

function headerOf(fields: string[], columns: readonly string[]): string[] {
  const header: string[] = [];
  for (const field of fields) {
    const column = columns.find((known) => known === field.toLowerCase());
    if (column === undefined) throw new Unreadable({ key: 'import.unknown-column', values: { column: field, columns: columns.join(', ') } });
    if (header.includes(column)) throw new Unreadable({ key: 'import.column-twice', values: { column } });
    header.push(column);
  }
  const first = columns[0] ?? '';
  if (!header.includes(first)) throw new Unreadable({ key: 'import.no-header', values: { column: first } });
  return header;
}
