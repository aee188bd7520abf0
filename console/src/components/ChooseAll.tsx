import { Checkbox } from '@mantine/core';

/** Chooses all of a list's page that can be chosen, or none of it. */
export function ChooseAll({ label, chosen, of, onChange }: { label: string; chosen: number; of: number; onChange: (all: boolean) => void }) {
  return <Checkbox className="choose-all" label={label} checked={chosen === of} indeterminate={chosen > 0 && chosen < of} onChange={() => onChange(chosen < of)} />;
}
