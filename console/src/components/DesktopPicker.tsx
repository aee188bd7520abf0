import { MultiSelect } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQueries } from '@tanstack/react-query';
import { useState } from 'react';
import { api, ok } from '../api/client';
import { useDesktops } from '../data';
import { useTexts } from '../i18n';
import { useProject } from '../session';

/** Finds desktops by name as one types; the value is their ids. */
export function DesktopPicker({ label, value, onChange }: { label: string; value: string[]; onChange: (ids: string[]) => void }) {
  const { t } = useTexts();
  const { id: project_id } = useProject();
  const [text, setText] = useState('');
  const [search] = useDebouncedValue(text, 200);
  const found = useDesktops({ name: search }, 0, 20);
  // Names of those that are chosen already, e.g. by an address that somebody shared.
  const names = useQueries({
    queries: value.map((desktop_id) => ({
      queryKey: ['desktops', project_id, 'name', desktop_id],
      staleTime: Infinity,
      queryFn: () => ok(api.GET('/v2/{project_id}/desktops/{desktop_id}', { params: { path: { project_id, desktop_id } } })),
    })),
    combine: (answers) => new Map(answers.map((answer, index) => [value[index] ?? '', answer.data?.desktop?.computer_name ?? '…'])),
  });
  const options = new Map(names);
  for (const desktop of found.data?.items ?? []) options.set(desktop.id, desktop.name);
  return (
    <MultiSelect
      label={label}
      placeholder={t('people.search')}
      searchable
      hidePickedOptions
      nothingFoundMessage={t('people.none-found')}
      data={[...options].map(([id, name]) => ({ value: id, label: name }))}
      value={value}
      onChange={onChange}
      searchValue={text}
      onSearchChange={setText}
    />
  );
}
