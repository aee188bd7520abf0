import { useQuery } from '@tanstack/react-query';
import { useTexts } from './i18n';

/** Failures with the same first sentence have the same cause as far as a person is concerned. */
export function reasonOf(message: string | undefined): string {
  const text = message ?? '';
  const end = text.search(/[.。](\s|$)/);
  return end < 0 ? text : text.slice(0, end + 1);
}

/** Says why something failed: the server's first sentence in the reader's language where it is known, the rest as it came. */
export function useReasonText(): (message: string | undefined) => string {
  const { language } = useTexts();
  const isChinese = language === 'zh';
  const { data } = useQuery({
    queryKey: ['reasons'],
    enabled: isChinese,
    staleTime: Infinity,
    queryFn: async () => (await import('./i18n/reasons')).reasons,
  });
  return (message = '') => {
    const sentence = reasonOf(message);
    const said = isChinese ? data?.[sentence] : undefined;
    return said === undefined ? message : said + message.slice(sentence.length);
  };
}
