package contract

// odpsText is the Open Data Product Standard, 0.9 to 1.1; parseStandard tells
// how to read it. Ports that 1.0 wants a version of may leave it out in 1.1.
const odpsText = `
product
  apiVersion! string
  kind! string enum=DataProduct
  id! string
  name string
  version string
  status!<1.1 string
  deprecated boolean since=1.1
  synonyms []synonym since=1.1
  domain string
  tenant string
  type string since=1.1
  context context since=1.1
  authoritativeDefinitions []definition
  description description
  customProperties []custom
  tags []string
  inputPorts []inputPort
  outputPorts []outputPort
  managementPorts []managementPort
  support []support
  team []member until=1.0
  team team since=1.0
  productCreatedTs datetime
description
  purpose string
  limitations string
  usage string
  authoritativeDefinitions []definition
  customProperties []custom
custom
  id string since=1.1
  property! string
  value! any
  description string
  vendor string since=1.1
definition
  id string since=1.1
  type! string
  url! uri
  description string
synonym
  id string
  synonym! string
  description string
  locale string
  source string
  status string
  customProperties []custom
inputPort
  id string since=1.1
  deprecated boolean since=1.1
  name! string
  version!<1.1 string
  contractId!<1.1 string
  tags []string
  customProperties []custom
  authoritativeDefinitions []definition
outputPort
  id string since=1.1
  deprecated boolean since=1.1
  name! string
  description string
  type string
  version!<1.1 string
  contractId string
  sbom []sbom
  inputContracts []inputContract
  synonyms []synonym since=1.1
  context context since=1.1
  tags []string
  customProperties []custom
  authoritativeDefinitions []definition
sbom
  id string since=1.1
  type string
  url!<1.1 uri
  tags []string since=1.1
  customProperties []custom since=1.1
  authoritativeDefinitions []definition since=1.1
inputContract
  id! string
  version! string
managementPort
  id string since=1.1
  deprecated boolean since=1.1
  name! string
  content! string
  type string
  url uri
  channel string
  description string
  tags []string since=1.0
  customProperties []custom since=1.0
  authoritativeDefinitions []definition since=1.0
support
  id string since=1.1
  channel! string
  url! uri
  description string
  tool string
  scope string
  invitationUrl uri
  tags []string since=1.0
  customProperties []custom since=1.0
  authoritativeDefinitions []definition since=1.0
team
  id string since=1.1
  name string
  description string
  members []member
  tags []string
  customProperties []custom
  authoritativeDefinitions []definition
member
  id string since=1.1
  username! string
  name string
  description string
  role string
  dateIn date
  dateOut date
  replacedByUsername string
  tags []string since=1.0
  customProperties []custom since=1.0
  authoritativeDefinitions []definition since=1.0
context
  instructions string
  verifiedStatements []statement
  constraints []constraint
statement
  id string
  question! string
  answer string
  authoritativeDefinitions []definition
  tags []string
  customProperties []custom
constraint
  id string
  constraint! string
  authoritativeDefinitions []definition
  tags []string
  customProperties []custom
`
