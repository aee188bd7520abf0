import { Code } from '@mantine/core';

/** A text whose commands stand between backticks. */
export function WithCode({ text }: { text: string }) {
  return text.split('`').map((part, index) => (index % 2 === 0 ? part : <Code key={index}>{part}</Code>));
}
