// The things that can be imported, each with its columns and how its lines are planned.
import * as desktops from './desktops';
import * as groups from './groups';
import * as users from './users';
import type { Line } from './csv';
import { planAll, type Planned } from './plan';
import { schemas } from './schema';

export type Noun = 'desktops' | 'users' | 'groups';

interface Kind {
  columns: readonly string[];
  /** A file that shows how it is meant. */
  example: string;
  /** Lists that an import makes stale. */
  stale: string[];
  plan: (project_id: string, lines: Line[]) => Promise<Planned[]>;
}

export const NOUNS: Record<Noun, Kind> = {
  desktops: {
    columns: desktops.COLUMNS,
    example: 'name,os,users,persistent,address\nMEI-DESK,Linux,mei,yes,10.1.0.20\nLAB-01,Windows,tom;olga,no,',
    stale: ['desktops', 'users'],
    plan: async (project_id, lines) => {
      const [known, all] = await Promise.all([desktops.known(project_id, lines), schemas()]);
      return planAll(lines, (line, name) => desktops.wishOf(project_id, known, all, line, name));
    },
  },
  users: {
    columns: users.COLUMNS,
    example: 'name,email,phone,description,groups\nmei,mei@example.com,,Design,design;lab\ntom,tom@example.com,,,',
    stale: ['users', 'groups'],
    plan: async (project_id, lines) => {
      const [known, all] = await Promise.all([users.known(project_id), schemas()]);
      return planAll(lines, (line, name) => users.wishOf(project_id, known, all, line, name));
    },
  },
  groups: {
    columns: groups.COLUMNS,
    example: 'name,description,members\ndesign,Designers and writers,mei;tom\nlab,,olga',
    stale: ['groups', 'members', 'users'],
    plan: async (project_id, lines) => {
      const [known, all] = await Promise.all([groups.known(project_id, lines), schemas()]);
      return planAll(lines, (line, name) => groups.wishOf(project_id, known, all, line, name));
    },
  },
};
