// Checks what would be sent by the very schema that the server enforces, so that a preview says what a call would.
import { ApiProblem } from '../api/client';
import type { Reason } from './plan';

/** As much of a schema as bodies of an import need. */
interface Schema {
  $ref?: string;
  oneOf?: Schema[];
  properties?: Record<string, Schema>;
  items?: Schema;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  maxItems?: number;
}

export type Schemas = Record<string, Schema>;

let loaded: Promise<Schemas> | undefined;

/** The schemas of the server's document. */
export function schemas(): Promise<Schemas> {
  loaded ??= fetch('/openapi.json').then(async (response) => {
    if (!response.ok) throw new ApiProblem(response.status, String(response.status), response.statusText, '');
    const document = (await response.json()) as { components: { schemas: Schemas } };
    return document.components.schemas;
  });
  loaded.catch(() => (loaded = undefined));
  return loaded;
}

/** Why a body does not fit the schema of that name; undefined when it does. */
export function misfit(all: Schemas, name: string, body: unknown): Reason | undefined {
  return check(all, { $ref: `/${name}` }, body, '');
}

function check(all: Schemas, schema: Schema, value: unknown, field: string): Reason | undefined {
  if (value === undefined || value === null) return undefined;
  const named = schema.$ref === undefined ? undefined : all[schema.$ref.split('/').at(-1) ?? ''];
  if (named !== undefined) return check(all, named, value, field);
  if (schema.oneOf !== undefined) {
    const only = schema.oneOf.filter(({ $ref }) => $ref !== undefined);
    return only.length === 1 && only[0] !== undefined ? check(all, only[0], value, field) : undefined;
  }
  if (typeof value === 'string') {
    // Characters, as the server counts them, not halves of them.
    const length = [...value].length;
    if (schema.maxLength !== undefined && length > schema.maxLength) return { key: 'import.too-long', values: { field, n: schema.maxLength } };
    if (schema.minLength !== undefined && length < schema.minLength) return { key: 'import.too-short', values: { field, n: schema.minLength } };
    if (schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(value)) return { key: 'import.pattern', values: { field, value } };
    return undefined;
  }
  if (Array.isArray(value)) {
    if (schema.maxItems !== undefined && value.length > schema.maxItems) return { key: 'import.too-many', values: { field, n: schema.maxItems } };
    for (const item of value) {
      const wrong = check(all, schema.items ?? {}, item, field);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }
  if (typeof value === 'object') {
    for (const [member, inner] of Object.entries(value)) {
      const wrong = check(all, schema.properties?.[member] ?? {}, inner, member);
      if (wrong !== undefined) return wrong;
    }
  }
  return undefined;
}
