window.ddpm.mount(element, props, trigger, watch);
