import { useQuery } from '@tanstack/react-query';
import { api, ok } from '../../api/client';
import { useProject } from '../../session';

/** Users, groups and policies that are offered to choose from. Source: the operations' own maximum. */
const MOST = 100;

export function useIamUsers() {
  const { id: project_id } = useProject();
  return useQuery({
    queryKey: ['iam', project_id, 'choose'],
    queryFn: () => ok(api.GET('/api/v1/{project_id}/iam/users', { params: { path: { project_id }, query: { limit: MOST, offset: 0 } } })),
  });
}

export function useIamGroups() {
  return useQuery({
    queryKey: ['iam-groups'],
    queryFn: () => ok(api.GET('/api/v1/iam/groups', { params: { query: { limit: MOST, offset: 0 } } })),
  });
}

export function useIamPolicies() {
  return useQuery({
    queryKey: ['iam-policies'],
    queryFn: () => ok(api.GET('/api/v1/iam/policies', { params: { query: { limit: MOST, offset: 0 } } })),
  });
}

export function useIamAttachments() {
  return useQuery({
    queryKey: ['iam-attachments'],
    queryFn: () => ok(api.GET('/api/v1/iam/attachments', { params: { query: { limit: MOST, offset: 0 } } })),
  });
}
