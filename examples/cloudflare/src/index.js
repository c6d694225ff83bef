import { dispatch } from './dispatch.js';
import { relay } from './relay.js';

/** With DEPLOYMENT_REPOSITORY webhooks end here, and GitHub is told; without it they go on to a Landfall. See README.md. */
export default {
  /**
   * @param {Request} request
   * @param {import('./relay.js').RelaySettings & import('./dispatch.js').DispatchSettings} settings
   * @returns {Promise<Response>}
   */
  async fetch(request, settings) {
    return await (settings.DEPLOYMENT_REPOSITORY ? dispatch(request, settings) : relay(request, settings));
  },
};
