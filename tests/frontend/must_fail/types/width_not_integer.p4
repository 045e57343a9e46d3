typedef bit<(true)> t;
