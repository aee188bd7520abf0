import { FileButton, type FileButtonProps } from '@mantine/core';
import { useRef } from 'react';

/** A button that lets one choose files, also the same ones again: browsers tell no change of what an input holds already. */
export function FileChooser({
  label,
  accept,
  multiple = false,
  onFiles,
  children,
}: {
  label: string;
  accept?: string;
  multiple?: boolean;
  onFiles: (files: File[]) => void;
  children: FileButtonProps['children'];
}) {
  const reset = useRef<() => void>(null);
  const take = (files: File[]) => {
    reset.current?.();
    if (files.length > 0) onFiles(files);
  };
  return (
    <FileButton multiple onChange={take} resetRef={reset} inputProps={{ 'aria-label': label, accept, multiple }}>
      {children}
    </FileButton>
  );
}
