/** What is loaded when a connection is made: of a package that is no module of ECMAScript, a bundle knows no names at run time. */
export { Connection } from '@temporalio/client';
