import { auditServer } from 'graphql-http';
const [url, token] = process.argv.slice(2);
const fetchFn = (u, init = {}) => fetch(u, { ...init, headers: { ...(init.headers || {}), Authorization: `Bearer ${token}` } });
const found = await auditServer({ url, fetchFn });
console.log(JSON.stringify(found.map((r) => ({ id: r.id, name: r.name, status: r.status, reason: r.reason }))));
