import { useQuery } from '@tanstack/react-query';
import { useTexts } from './i18n';

/** Failures with the same first sentence have the same cause as far as a person is concerned. */
export function reasonOf(message: string | undefined): string {
  const text = message ?? '';
  const end = text.search(/[.。](\s|$)/);
  return end < 0 ? text : text.slice(0, end + 1);
}

/**
 * A message of the server with the sentences it begins with, and the hint it ends with, told as `said` has them. What was
 * seen on the desktop, or came from the other side, stays as it is.
 */
export function translated(message: string, said: Record<string, string>): string {
  const sentences = Object.keys(said);
  const first = sentences.find((sentence) => message === sentence || message.startsWith(`${sentence} `));
  if (first !== undefined) return (said[first] ?? first) + translated(message.slice(first.length).trimStart(), said);
  const hint = sentences.find((sentence) => message.endsWith(`. ${sentence}.`));
  return hint === undefined ? message : `${message.slice(0, -hint.length - 1)}${said[hint] ?? hint}`;
}

/** Tells what the server says in the reader's language. Who reads Chinese loads the sentences for it. */
export function useTold(): (message: string | undefined) => string {
  const { language } = useTexts();
  const isChinese = language === 'zh';
  const { data } = useQuery({
    queryKey: ['sentences'],
    enabled: isChinese,
    staleTime: Infinity,
    queryFn: async () => (await import('./i18n/sentences.json')).default as Record<string, string>,
  });
  return (message = '') => (isChinese && data !== undefined ? translated(message, data) : message);
}
