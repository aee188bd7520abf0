import { createContext, use, useCallback, useEffect, useMemo, useState, type ReactNode } from 'react';
import { dictionary, type TextKey } from './dictionary';

export const LANGUAGES = { en: 'English', zh: '简体中文' } as const;
export type Language = keyof typeof LANGUAGES;
export type { TextKey };

const STORAGE_KEY = 'outfitter.language';

/** The locale that dates and numbers are written in. */
export const localeOf = (language: Language) => (language === 'en' ? 'en-GB' : 'zh-CN');

/** How each language writes numbers: made once, because making it costs more than the number. */
const NUMBERS = { en: new Intl.NumberFormat(localeOf('en')), zh: new Intl.NumberFormat(localeOf('zh')) };

/** Writes a text in a language; `{name}` is replaced by the value of that name, `{name:job|jobs}` by the word for one or for more. */
export function write(language: Language, key: TextKey, values: Record<string, string | number> = {}): string {
  const text = dictionary[key][language === 'en' ? 0 : 1];
  return text.replace(/\{(\w+)(?::([^|}]*)\|([^}]*))?\}/g, (whole, name: string, one?: string, more?: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    if (one !== undefined && more !== undefined) return value === 1 ? one : more;
    return typeof value === 'number' ? NUMBERS[language].format(value) : value;
  });
}

/** The text of a word of the API, e.g. `audit.kind.change`; one that is newer than this console stands for itself. */
export function wordOf(t: Write, group: string, word: string): string {
  const key = `${group}.${word}`;
  return key in dictionary ? t(key as TextKey) : word;
}

export type Write = (key: TextKey, values?: Record<string, string | number>) => string;

interface Texts {
  language: Language;
  setLanguage(language: Language): void;
  t: Write;
}

const Context = createContext<Texts | undefined>(undefined);

function preferred(): Language {
  const kept = localStorage.getItem(STORAGE_KEY);
  if (kept === 'en' || kept === 'zh') return kept;
  return navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

/** The language of the page as it is shown. */
export const languageNow = (): Language => (document.documentElement.lang === 'zh-CN' ? 'zh' : 'en');

export function TextProvider({ children }: { children: ReactNode }) {
  const [language, set] = useState<Language>(preferred);
  const setLanguage = useCallback((next: Language) => {
    localStorage.setItem(STORAGE_KEY, next);
    set(next);
  }, []);
  useEffect(() => {
    document.documentElement.lang = language === 'en' ? 'en' : 'zh-CN';
  }, [language]);
  const value = useMemo<Texts>(
    () => ({ language, setLanguage, t: (key, values) => write(language, key, values) }),
    [language, setLanguage],
  );
  return <Context value={value}>{children}</Context>;
}

export function useTexts(): Texts {
  const texts = use(Context);
  if (texts === undefined) throw new Error('useTexts outside TextProvider');
  return texts;
}
