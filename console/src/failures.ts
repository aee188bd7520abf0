import { useQuery } from '@tanstack/react-query';
import { useTexts } from './i18n';

/** Failures with the same first sentence have the same cause as far as a person is concerned. */
export function reasonOf(message: string | undefined): string {
  const text = message ?? '';
  const end = text.search(/[.。](\s|$)/);
  return end < 0 ? text : text.slice(0, end + 1);
}

/** A message of the server with the sentences it begins with told as `said` has them; what was seen on the desktop stays as it came. */
export function translated(message: string, said: Record<string, string>): string {
  const known = Object.keys(said).find((sentence) => message === sentence || message.startsWith(`${sentence} `));
  if (known === undefined) return message;
  return (said[known] ?? known) + translated(message.slice(known.length).trimStart(), said);
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
