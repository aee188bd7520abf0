import { createTheme, Menu, Popover, Table, TableTbody, TableTd, TableTh, TableThead, TableTr, type CSSVariablesResolver } from '@mantine/core';

/** Shades are chosen for contrast (WCAG 2.2 AA): 8 carries white text, and text on white. */
export const theme = createTheme({
  primaryColor: 'indigo',
  primaryShade: { light: 8, dark: 8 },
  defaultRadius: 'md',
  // Greys with some blue, as those of the page: fields and buttons belong to it.
  colors: { dark: ['#e1e4ea', '#c3c8d1', '#a7afbd', '#7b8494', '#444b59', '#343a47', '#272c37', '#1b1e26', '#14161c', '#0f1116'] },
  cursorType: 'pointer',
  fontFamily:
    'Inter, system-ui, -apple-system, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", monospace',
  headings: { fontWeight: '650' },
  components: {
    // What would take the focus first is no item, and a menu may hold nothing else.
    Menu: Menu.extend({ defaultProps: { withInitialFocusPlaceholder: false } }),
    // A list that opens below the edge of the window is scrolled to; it was taken for one whose field had gone, and stayed hidden.
    Popover: Popover.extend({ defaultProps: { hideDetached: false } }),
    // On phones tables are laid out as cards (style.css). Browsers may then forget what they are.
    Table: Table.extend({ defaultProps: { role: 'table' } }),
    TableThead: TableThead.extend({ defaultProps: { role: 'rowgroup' } }),
    TableTbody: TableTbody.extend({ defaultProps: { role: 'rowgroup' } }),
    TableTr: TableTr.extend({ defaultProps: { role: 'row' } }),
    TableTh: TableTh.extend({ defaultProps: { role: 'columnheader' } }),
    TableTd: TableTd.extend({ defaultProps: { role: 'cell' } }),
  },
});

export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#566072',
    '--mantine-color-placeholder': '#6b7280',
    '--mantine-color-error': '#b42318',
    '--mantine-color-body': '#ffffff',
    '--page': '#f6f7fa',
    '--line': '#e3e6ec',
  },
  dark: {
    '--mantine-color-dimmed': '#a7afbd',
    '--mantine-color-placeholder': '#98a1b0',
    '--mantine-color-error': '#ff9b91',
    '--mantine-color-anchor': '#a5b4fc',
    '--mantine-color-body': '#1b1e26',
    '--page': '#14161c',
    '--line': '#2d323d',
  },
});
