import { Alert, Button, Code, Input, SegmentedControl, Stack, Switch, Table, Text, Textarea, TextInput } from '@mantine/core';
import { useMutation, useQuery } from '@tanstack/react-query';
import { IconInfoCircle, IconPlus, IconShieldLock, IconTrash } from '@tabler/icons-react';
import { useState } from 'react';
import { api, ok, type Shape } from '../api/client';
import { ConfirmByName, FormDialog, ListTable, PageHead, say, sayProblem, When } from '../components/parts';
import { Empty, Problem } from '../components/states';
import { useRefresh } from '../data';
import { useTexts } from '../i18n';
import { useProject } from '../session';

export default function Rules() {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const params = { path: { project_id } };
  const rules = useQuery({
    queryKey: ['rules', project_id, 'all'],
    queryFn: () => ok(api.GET('/v1/{project_id}/app-center/app-rules', { params: { ...params, query: { limit: 100, offset: 0 } } })),
  });
  const controlled = useQuery({
    queryKey: ['rules', project_id, 'controlled'],
    queryFn: () => ok(api.GET('/v1/{project_id}/app-center/app-restricted-rules', { params: { ...params, query: { limit: 100, offset: 0 } } })),
  });
  const restriction = useQuery({
    queryKey: ['rules', project_id, 'restriction'],
    queryFn: () => ok(api.GET('/v1/{project_id}/app-center/app-rules/actions/get-rule-restriction', { params })),
  });
  const on = new Set(controlled.data?.items.map((rule) => rule.id));
  const control = useMutation({
    mutationFn: ({ id, under }: { id: string; under: boolean }) => {
      const call = { params, body: { items: [id] } };
      return ok<unknown>(
        under
          ? api.POST('/v1/{project_id}/app-center/app-restricted-rules', call)
          : api.POST('/v1/{project_id}/app-center/app-restricted-rules/actions/batch-delete', call),
      );
    },
    onError: (problem) => sayProblem(problem, t('nav.rules')),
    onSettled: () => refresh('rules'),
  });
  const toggle = useMutation({
    mutationFn: (enable: boolean) =>
      ok<unknown>(
        enable
          ? api.POST('/v1/{project_id}/app-center/app-rules/actions/enable-rule-restriction', { params })
          : api.POST('/v1/{project_id}/app-center/app-rules/actions/disable-rule-restriction', { params }),
      ),
    onError: (problem) => sayProblem(problem, t('nav.rules')),
    onSettled: () => refresh('rules'),
  });
  const [adding, setAdding] = useState(false);
  const [deleting, setDeleting] = useState<Shape<'AppRule'>>();
  const problem = rules.error ?? controlled.error ?? restriction.error;
  const add = (
    <Button leftSection={<IconPlus size={18} />} onClick={() => setAdding(true)}>
      {t('rules.add')}
    </Button>
  );
  return (
    <>
      <PageHead title={t('nav.rules')} sub={t('rules.sub')} actions={add} />
      <Stack gap="lg">
        <Alert variant="outline" color="yellow" icon={<IconInfoCircle />} title={t('rules.not-enforced')}>
          {t('rules.not-enforced-text')}
        </Alert>
        {problem !== null && <Problem error={problem} />}
        <section className="panel panel-pad">
          <Switch
            label={t('rules.switch')}
            description={t('rules.switch-text')}
            checked={restriction.data?.app_restrict_rule_switch ?? false}
            disabled={restriction.data === undefined || toggle.isPending}
            onChange={(event) => toggle.mutate(event.currentTarget.checked)}
          />
        </section>
        <section className="panel">
          {rules.data?.items.length === 0 ? (
            <Empty icon={<IconShieldLock />} title={t('rules.empty')} action={add}>
              {t('rules.empty-text')}
            </Empty>
          ) : (
            <ListTable label={t('nav.rules')} head={[t('app.name'), t('rules.matches'), t('rules.controlled'), t('list.changed'), { hidden: t('action.delete') }]}>
              {rules.data?.items.map((rule) => (
                <Table.Tr key={rule.id}>
                  <Table.Td>
                    <Text size="sm" fw={600}>
                      {rule.name}
                    </Text>
                    <Text size="xs" c="dimmed">
                      {rule.description}
                    </Text>
                  </Table.Td>
                  <Table.Td>
                    <Code>{rule.rule.scope === 'PATH' ? rule.rule.path_rule?.path : productText(rule.rule.product_rule)}</Code>
                  </Table.Td>
                  <Table.Td>
                    <Switch
                      aria-label={t('rules.control-this', { name: rule.name })}
                      checked={on.has(rule.id)}
                      disabled={control.isPending}
                      onChange={(event) => control.mutate({ id: rule.id, under: event.currentTarget.checked })}
                    />
                  </Table.Td>
                  <Table.Td>
                    <When at={rule.update_time} />
                  </Table.Td>
                  <Table.Td>
                    <Button
                      size="xs"
                      variant="default"
                      leftSection={<IconTrash size={14} />}
                      aria-label={t('action.delete-this', { name: rule.name })}
                      onClick={() => setDeleting(rule)}
                    >
                      {t('action.delete')}
                    </Button>
                  </Table.Td>
                </Table.Tr>
              ))}
            </ListTable>
          )}
        </section>
      </Stack>
      <AddRule opened={adding} onClose={() => setAdding(false)} />
      <ConfirmByName
        name={deleting?.name ?? ''}
        title={t('rules.delete-title', { name: deleting?.name ?? '' })}
        effect={t('rules.delete-effect')}
        action={t('action.delete')}
        opened={deleting !== undefined}
        onClose={() => setDeleting(undefined)}
        onConfirm={async () => {
          await ok(api.DELETE('/v1/{project_id}/app-center/app-rules/{rule_id}', { params: { path: { project_id, rule_id: deleting?.id ?? '' } } }));
          await refresh('rules');
        }}
      />
    </>
  );
}

function productText(rule: Shape<'ProductRule'> | null | undefined): string {
  return [rule?.publisher, rule?.product_name, rule?.process_name].filter((part) => part !== undefined && part !== null && part !== '').join(' · ');
}

function AddRule({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { t } = useTexts();
  const refresh = useRefresh();
  const { id: project_id } = useProject();
  const [scope, setScope] = useState<Shape<'RuleScope'>>('PRODUCT');
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  const [publisher, setPublisher] = useState('');
  const [product, setProduct] = useState('');
  const [process, setProcess] = useState('');
  const [path, setPath] = useState('');
  const add = useMutation({
    mutationFn: () =>
      ok(
        api.POST('/v1/{project_id}/app-center/app-rules', {
          params: { path: { project_id } },
          body: {
            name,
            ...(description === '' ? {} : { description }),
            rule:
              scope === 'PATH'
                ? { scope, path_rule: { path } }
                : {
                    scope,
                    product_rule: {
                      ...(publisher === '' ? {} : { publisher }),
                      ...(product === '' ? {} : { product_name: product }),
                      ...(process === '' ? {} : { process_name: process }),
                    },
                  },
          },
        }),
      ),
    onSuccess: () => {
      say(t('rules.added', { name }));
      setScope('PRODUCT');
      for (const set of [setName, setDescription, setPublisher, setProduct, setProcess, setPath]) set('');
      onClose();
      return refresh('rules');
    },
  });
  return (
    <FormDialog title={t('rules.add')} opened={opened} onClose={onClose} submit={t('rules.add')} save={add}>
      <TextInput data-autofocus label={t('app.name')} required maxLength={128} value={name} onChange={(event) => setName(event.currentTarget.value)} />
      <Textarea label={t('app.description')} value={description} onChange={(event) => setDescription(event.currentTarget.value)} />
      <Input.Wrapper label={t('rules.matches')} labelElement="div">
        <SegmentedControl
          fullWidth
          aria-label={t('rules.matches')}
          value={scope}
          onChange={(value) => setScope(value as Shape<'RuleScope'>)}
          data={[
            { value: 'PRODUCT', label: t('rules.product') },
            { value: 'PATH', label: t('rules.path') },
          ]}
        />
      </Input.Wrapper>
      {scope === 'PATH' ? (
        <TextInput label={t('rules.path')} required placeholder="C:\Games" value={path} onChange={(event) => setPath(event.currentTarget.value)} />
      ) : (
        <>
          <Text size="sm" c="dimmed">
            {t('rules.give-one')}
          </Text>
          <TextInput label={t('rules.publisher')} value={publisher} onChange={(event) => setPublisher(event.currentTarget.value)} />
          <TextInput label={t('rules.product-name')} value={product} onChange={(event) => setProduct(event.currentTarget.value)} />
          <TextInput label={t('rules.process')} placeholder="game.exe" value={process} onChange={(event) => setProcess(event.currentTarget.value)} />
        </>
      )}
    </FormDialog>
  );
}
