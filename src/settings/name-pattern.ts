/** Names stand in workflow ids, branch and container names; at most `longestServiceName` characters. */
export const namePattern = /^[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){0,98}(?<!\.)$/;
