control c() { apply { } }
c() i;
