import { beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiProblem } from '../../src/api/client';
import { BucketProblem, credentialOf, encodedKey, NoAnswer } from '../../src/upload/bucket';
import { forget, isSame, keep, keptOf, partSizeOf, partsOf, type Kept } from '../../src/upload/kept';
import { isLost, reachOf, worthOf } from '../../src/upload/uploads';

vi.hoisted(() => {
  const stored = new Map<string, string>();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => stored.set(key, value),
    removeItem: (key: string) => stored.delete(key),
  });
});

const MIB = 1024 * 1024;

describe('parts of a file', () => {
  it('cover it without a gap and stay below what the protocol allows', () => {
    for (const size of [0, 1, 8 * MIB, 8 * MIB + 1, 40_000_000, 64 * 1024 ** 3, 500 * 1024 ** 3]) {
      const partSize = partSizeOf(size);
      const parts = partsOf(size, partSize);
      expect(parts.length).toBeLessThanOrEqual(10_000);
      expect(parts.map(({ number }) => number)).toEqual(parts.map((_, at) => at + 1));
      expect(parts.at(-1)?.end).toBe(size);
      for (const [at, part] of parts.entries()) {
        expect(part.start).toBe(at === 0 ? 0 : parts[at - 1]?.end);
        if (at < parts.length - 1) expect(part.end - part.start).toBeGreaterThanOrEqual(5 * MIB);
      }
    }
  });
});

describe('what the browser keeps', () => {
  const kept: Kept = { userId: 'u', projectId: 'p', name: 'a.deb', size: 7, lastModified: 5, uploadId: 'i', partSize: MIB, begunAt: 1_000 };
  beforeEach(() => localStorage.removeItem('outfitter.uploads'));
  it('is shown to whoever began it, in that project, for a week', () => {
    keep(kept, 1_000);
    expect(keptOf('u', 'p', 2_000)).toEqual([kept]);
    expect(keptOf('other', 'p', 2_000)).toEqual([]);
    expect(keptOf('u', 'other', 2_000)).toEqual([]);
    expect(keptOf('u', 'p', 1_000 + 7 * 24 * 60 * 60 * 1000)).toEqual([]);
    forget('i', 2_000);
    expect(localStorage.getItem('outfitter.uploads')).toBeNull();
  });
  it('is no reason to fail when somebody else wrote it', () => {
    for (const text of ['{', '7', '[null, 7, {"userId":"u"}]', JSON.stringify([{ ...kept, partSize: 0 }]), JSON.stringify([{ ...kept, versionOf: 7 }])]) {
      localStorage.setItem('outfitter.uploads', text);
      expect(keptOf('u', 'p', 2_000), text).toEqual([]);
    }
  });
  it('tells what the file was added to', () => {
    for (const versionOf of ['app', null]) {
      keep({ ...kept, versionOf }, 1_000);
      expect(keptOf('u', 'p', 2_000)).toEqual([{ ...kept, versionOf }]);
    }
  });
  it('fits the same file alone', () => {
    const file = { name: 'a.deb', size: 7, lastModified: 5 };
    expect(isSame(kept, file)).toBe(true);
    for (const other of [{ name: 'b.deb' }, { size: 8 }, { lastModified: 6 }]) expect(isSame(kept, { ...file, ...other })).toBe(false);
  });
});

describe('leaving the page', () => {
  it('loses what moves and what was recognised, until it is an app', () => {
    expect(isLost({ phase: 'sending' })).toBe(true);
    expect(isLost({ phase: 'ready' })).toBe(true);
    expect(isLost({ phase: 'ready', appId: 'a' })).toBe(false);
    for (const phase of ['paused', 'needs-file', 'failed'] as const) expect(isLost({ phase }), phase).toBe(false);
  });
});

describe('a credential', () => {
  const answer = {
    server_end_point: 'https://127.0.0.1:8081',
    bucket_name: 'b',
    object_path: 'app-file/a',
    credential: { access: 'A', secret: 'S', security_token: 'T' },
  };
  it('says where the bucket is, with HTTPS where the contract leaves the scheme out, and how clocks differ', () => {
    expect(credentialOf(answer, 'Thu, 01 Jan 1970 00:01:00 GMT', 0)).toMatchObject({ endpoint: 'https://127.0.0.1:8081', clockOffsetMs: 60_000 });
    expect(credentialOf({ ...answer, server_end_point: 'obs.example.com:8443' }, null)).toMatchObject({ endpoint: 'https://obs.example.com:8443', clockOffsetMs: 0 });
    expect(() => credentialOf({ ...answer, credential: { access: 'A' } }, null)).toThrow();
  });
  it('signs keys as they stand in addresses', () => {
    expect(encodedKey("app-file/set up+1 名(1)'s=%.bin")).toBe('app-file/set%20up%2B1%20%E5%90%8D%281%29%27s%3D%25.bin');
  });
});

describe('a failure', () => {
  it('is repeated where repeating helps', () => {
    const bucket = (status: number, code: string) => worthOf(new BucketProblem(status, code, '', ''));
    expect(worthOf(new NoAnswer())).toBe('no-answer');
    expect(worthOf(new ApiProblem(0, 'unreachable', '', ''))).toBe('no-answer');
    expect(bucket(403, 'ExpiredToken')).toBe('renewed');
    expect(bucket(403, 'RequestTimeTooSkewed')).toBe('renewed');
    for (const [status, code] of [[503, 'SlowDown'], [500, 'InternalError'], [200, 'InternalError'], [400, 'BadDigest'], [502, '502']] as const) {
      expect(bucket(status, code), code).toBe('retry');
    }
    for (const [status, code] of [[403, 'AccessDenied'], [403, 'InsufficientStorageSpace'], [507, 'InsufficientStorage'], [404, 'NoSuchUpload']] as const) {
      expect(bucket(status, code), code).toBe('end');
    }
    expect(worthOf(new ApiProblem(403, 'WKS.00081102', '', ''))).toBe('end');
    expect(worthOf(new Error('bug'))).toBe('end');
  });
  it('to reach a bucket has the reason that a page can know', () => {
    const https = { protocol: 'https:', isSecure: true };
    expect(reachOf('https://0.0.0.0:8081', https)).toBe('unspecified');
    expect(reachOf('http://bucket.example.com', https)).toBe('mixed');
    expect(reachOf('https://bucket.example.com', https)).toBe('unknown');
    expect(reachOf('http://bucket.example.com', { protocol: 'http:', isSecure: false })).toBe('insecure');
  });
});
